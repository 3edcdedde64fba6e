import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { devServer } from './server/devServer.ts';

export default defineConfig({
  root: 'client',
  plugins: [react(), devServer()],
  build: { outDir: '../dist', emptyOutDir: true },
  test: {
    root: import.meta.dirname,
    include: ['{server,client,test}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 3, // also on one core: many tests wait for clocks
    isolate: false, // else Playwright is loaded anew for each file
  },
});
