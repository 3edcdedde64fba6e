import react from '@vitejs/plugin-react';
import type { ViteDevServer } from 'vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: 'client',
  plugins: [react(), { name: 'wants-the-server', configureServer: expectTheServer }],
  build: { outDir: '../dist', emptyOutDir: true },
  test: {
    root: import.meta.dirname,
    include: ['{server,client,test}/**/*.test.ts'],
    globalSetup: ['test/support/bundles.ts', 'test/support/browser.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 4, // also on one core: many tests wait for clocks
    isolate: false, // else Playwright is loaded anew for each file
  },
});

/** Vite by itself has no stream: server/dev.ts runs it as middleware. */
function expectTheServer({ config }: ViteDevServer): void {
  if (!config.server.middlewareMode) throw new Error('vite: expected npm run dev, where the stream is, too');
}
