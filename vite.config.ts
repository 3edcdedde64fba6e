import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { isRunnableDevEnvironment, runnerImport, type Connect, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import type { TestSequencer, TestSpecification } from 'vitest/node';
import type { CounterApp } from './server/app.ts';

const serverFolder = join(import.meta.dirname, 'server');

// Not a plain import: an edit would restart Vite, and that reloads the page.
const { module: settings } = await runnerImport<typeof import('./server/settings.ts')>(
  join(serverFolder, 'settings.ts'),
);
const { port, host } = settings.readSettingsOrExit();

/** Test files that take long, the longest first: by default a file comes the later the shorter it is. */
const SLOW = ['chaos', 'page', 'look', 'dev'];
class SlowFirst implements TestSequencer {
  sort = (files: TestSpecification[]): TestSpecification[] => {
    const slow = SLOW.flatMap((name) =>
      files.filter((file) => file.moduleId.endsWith(`e2e/${name}.test.ts`)),
    );
    return [...new Set([...slow, ...files])];
  };
  shard = this.sort; // asked for by the interface, used with --shard alone
}

export default defineConfig({
  root: 'client',
  appType: 'mpa', // else Vite answers /count with the page
  plugins: [react(), counter()],
  server: {
    port,
    host,
    strictPort: true,
    cors: false, // the app's part
    // An editor empties a file before it writes it: without the wait an empty module may be loaded, and stay.
    watch: { awaitWriteFinish: { stabilityThreshold: 50, pollInterval: 10 } },
  },
  build: { outDir: '../dist', emptyOutDir: true },
  test: {
    root: import.meta.dirname,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 4, // whatever the number of cores: most tests wait for clocks
    isolate: false, // else Playwright is loaded anew for each file
    include: ['{server,client,e2e}/**/*.test.ts'],
    sequence: { sequencer: SlowFirst },
  },
});

/** Mounts the Express app in Vite's dev server. An edit drains its streams, and the next request meets the new code. */
function counter(): Plugin {
  let loaded: Promise<CounterApp> | undefined;
  return {
    name: 'counter',
    apply: (_config, { mode }) => mode === 'development',
    configureServer({ config, environments: { ssr }, middlewares, httpServer }) {
      httpServer?.prependListener('error', (error) => settings.failToListen(error, port, 'npm run dev'));
      if (!isRunnableDevEnvironment(ssr)) return;

      const load = async (): Promise<CounterApp> => {
        const { createApp } = await ssr.runner.import<typeof import('./server/app.ts')>(
          join(serverFolder, 'app.ts'),
        );
        const { readSettings } = await ssr.runner.import<typeof settings>(join(serverFolder, 'settings.ts'));
        return createApp(readSettings());
      };
      const mount: Connect.NextHandleFunction = (req, res, next) => {
        if (loaded === undefined) {
          loaded = load();
          loaded.catch((error) => config.logger.error(String(error.stack)));
        }
        loaded.then(
          ({ app }: { app: Connect.NextHandleFunction }) => app(req, res, next),
          () =>
            res.writeHead(500).end('server/: expected code that loads, found an error; see the terminal\n'),
        );
      };
      // Behind Vite's own: the page can be worked on while the server does not load.
      return () => void middlewares.use(mount);
    },
    hotUpdate({ modules }) {
      if (this.environment.name !== 'ssr' || modules.length === 0) return;
      loaded?.then(
        ({ drain }) => drain(0),
        () => {}, // there is nothing to drain
      );
      loaded = undefined;
    },
  };
}
