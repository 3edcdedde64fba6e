import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { isRunnableDevEnvironment, runnerImport, type Connect, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import type { CounterApp } from './server/app.ts';

const serverFolder = join(import.meta.dirname, 'server');

// Not a plain import: an edit would restart Vite, and that reloads the page.
const { module: settings } = await runnerImport<typeof import('./server/settings.ts')>(
  join(serverFolder, 'settings.ts'),
);
const { port, host } = settings.readSettings();

export default defineConfig({
  root: 'client',
  plugins: [react(), counter()],
  server: { port, host, strictPort: true },
  build: { outDir: '../dist', emptyOutDir: true },
  test: {
    root: import.meta.dirname,
    include: ['{server,client,e2e}/**/*.test.{ts,tsx}'],
    testTimeout: 20_000,
    maxWorkers: 4, // whatever the number of cores: most tests wait for clocks
  },
});

/** Mounts the Express app in Vite's dev server. An edit drains its streams, and the next request meets the new code. */
function counter(): Plugin {
  let loaded: Promise<CounterApp> | undefined;
  return {
    name: 'counter',
    apply: (_config, { mode }) => mode === 'development',
    configureServer({ environments: { ssr }, middlewares, httpServer }) {
      if (!isRunnableDevEnvironment(ssr)) return;
      const load = async (): Promise<CounterApp> => {
        const { createApp } = await ssr.runner.import<typeof import('./server/app.ts')>(
          join(serverFolder, 'app.ts'),
        );
        const { readSettings } = await ssr.runner.import<typeof import('./server/settings.ts')>(
          join(serverFolder, 'settings.ts'),
        );
        return createApp(readSettings());
      };
      middlewares.use((req, res, next) => {
        loaded ??= load();
        loaded.then(({ app }: { app: Connect.NextHandleFunction }) => app(req, res, next), next);
      });
      httpServer?.prependListener('error', (error) => settings.failToListen(error, port, 'npm run dev'));
    },
    hotUpdate({ modules }) {
      if (this.environment.name !== 'ssr' || modules.length === 0) return;
      loaded?.then(({ drain }) => drain(0)).catch(() => {});
      loaded = undefined;
    },
  };
}
