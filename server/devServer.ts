import { AsyncLocalStorage } from 'node:async_hooks';
import { join } from 'node:path';
import { isRunnableDevEnvironment, runnerImport, type Connect, type Plugin } from 'vite';
import type { CounterApp } from './app.ts';

const APP = join(import.meta.dirname, 'app.ts');
const SETTINGS = join(import.meta.dirname, 'settings.ts');

/**
 * Mounts the Express app in Vite's dev server: one process, one port, and no proxy, which would keep streams
 * open after their server has died. An edit of the server asks open streams to reconnect, and the next
 * request loads the new code. Code that does not load, a bad setting and an uncaught exception are an outage
 * that the next edit ends; the page is served all the same.
 */
export function devServer(): Plugin {
  let settings: typeof import('./settings.ts');
  /** Tells which version of the server's code a timer belongs to. */
  const versions = new AsyncLocalStorage<number>();
  let version = 0;
  let running: Promise<CounterApp> | undefined;
  let isBroken = false;

  function stop(): void {
    running?.then(
      ({ drain }) => drain(0),
      () => {}, // it did not load: there is nothing to drain
    );
    running = undefined;
    isBroken = false;
    version += 1;
  }

  return {
    name: 'dev-server',
    apply: (_config, { mode }) => mode === 'development',

    async config() {
      // A plain import would make settings.ts part of Vite's configuration: each edit would restart Vite.
      ({ module: settings } = await runnerImport<typeof settings>(SETTINGS));
      const { port, host } = settings.readSettingsOrExit();
      return {
        appType: 'mpa', // for a single-page app Vite answers /count with the page
        server: {
          port,
          host,
          strictPort: true,
          cors: false, // app.ts has its own
          // Editors empty a file before they write it. Without the wait, the empty file may be loaded.
          watch: { awaitWriteFinish: { stabilityThreshold: 50, pollInterval: 10 } },
        },
      };
    },

    configureServer({ config, environments: { ssr }, middlewares, httpServer, watcher }) {
      if (!isRunnableDevEnvironment(ssr)) return;
      const { runner } = ssr;

      const load = async (): Promise<CounterApp> => {
        // Both caches hold the old code, and what failed or was missing.
        ssr.moduleGraph.invalidateAll();
        runner.clearCache();
        const { createApp } = await runner.import<typeof import('./app.ts')>(APP);
        const { readSettings } = await runner.import<typeof settings>(SETTINGS);
        return createApp(readSettings());
      };
      const start = (): Promise<CounterApp> => {
        const loading = load();
        loading.catch(fail);
        return loading;
      };
      const fail = (error: Error): void => {
        config.logger.error(String(error.stack));
        const thrownBy = versions.getStore() ?? version;
        if (thrownBy !== version) return; // a timer that outlives its code does not concern the new code
        stop();
        isBroken = true;
      };
      const mount: Connect.NextHandleFunction = (req, res, next) => {
        const sayBroken = (): void => {
          if (req.url?.endsWith('.html')) next();
          else res.writeHead(500).end('server/: expected code that runs, found an error; see the terminal\n');
        };
        if (isBroken) return sayBroken();
        running ??= versions.run(version, start);
        const current = version;
        running.then(
          ({ app }: { app: Connect.NextHandleFunction }) => versions.run(current, app, req, res, next),
          sayBroken,
        );
      };

      httpServer?.prependListener('error', (error) =>
        settings.failToListen(error, config.server.port, 'npm run dev'),
      );
      watcher.add(import.meta.dirname); // by itself Vite watches client/ and what was loaded
      process.on('uncaughtException', fail);
      httpServer?.once('close', () => process.off('uncaughtException', fail));
      // After Vite's own middlewares, whose rewriting makes / end in .html, and before its 404.
      return () => void middlewares.use(mount);
    },

    hotUpdate({ modules }) {
      if (this.environment.name !== 'ssr') return;
      // A file that has just been created has no modules yet, and may be what was missing.
      if (modules.length > 0 || isBroken) stop();
      return []; // Vite itself would run the new code once more
    },
  };
}
