import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// What takes too long for `npm test`. Time limits are generous, so that a busy machine keeps them.
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..'),
    include: ['{e2e,examples}/**/*.proof.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 2,
  },
});
