import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Left out of the short form, `PROOF=short npm run proof`, which has to fit into CI's five minutes. */
const LONG = [
  ...['pitfalls', 'react', 'browsers', 'frameworks', 'aiSdks'].map((name) => `test/${name}.proof.ts`),
  ...['broadcast/*', 'chat/*', 'job/*', 'log/*', 'one-connection/*', 'response/runtimes'].map(
    (name) => `examples/${name}.proof.ts`,
  ),
];

// What takes too long for `npm test`. Time limits are generous, so that a busy machine keeps them.
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..'),
    include: ['{test,examples}/**/*.proof.ts'],
    exclude: process.env['PROOF'] === 'short' ? LONG : [],
    globalSetup: 'test/support/installExamples.ts',
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 2,
  },
});
