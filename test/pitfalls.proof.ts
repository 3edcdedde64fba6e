import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PITFALLS, type Pitfall } from './pitfalls.ts';
import { copyProject } from './support/copyProject.ts';
import { ended, launch } from './support/processes.ts';

describe('the test of a pitfall', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await copyProject('test', 'examples', 'dist');
  });
  afterAll(() => rm(folder, { recursive: true, maxRetries: 5 }));

  test.each([/test\.ts$/, /proof\.ts$/])(
    'passes with the handling, for each in a file as %s',
    async (name) => {
      const { code, output } = await run(PITFALLS.filter(({ testFile }) => name.test(testFile)));
      expect(code, output).toBe(0);
    },
  );

  test.each(PITFALLS)('fails without the handling: $what', async (pitfall) => {
    const path = join(folder, pitfall.file);
    const text = await readFile(path, 'utf8');
    expect(text).toContain(pitfall.code);
    await writeFile(
      path,
      text.replace(pitfall.code, () => pitfall.without),
    );
    // A test that waits for what never comes has failed, too.
    const { output } = await run([pitfall], '--testTimeout', '10000', '--bail', '1');
    await writeFile(path, text);
    expect(output).toMatch(/Tests +\d+ failed/);
  });

  /** Runs the tests of these pitfalls, and no other. All are tests, or all are proofs. */
  function run(pitfalls: readonly Pitfall[], ...limits: string[]): ReturnType<typeof ended> {
    const files = new Set(pitfalls.map(({ testFile }) => testFile));
    const titles = pitfalls.map(({ test: title }) => title.replaceAll(/[^\w ]/g, '.'));
    const isProof = pitfalls.some(({ testFile }) => testFile.endsWith('.proof.ts'));
    const config = isProof ? 'test/proof.config.ts' : 'vite.config.ts';
    const command = ['node_modules/vitest/vitest.mjs', 'run', '--config', config, ...files, ...limits];
    const env = { CI: 'true', VITEST: undefined, NODE_ENV: undefined };
    const { child, output } = launch([process.execPath, ...command, '-t', titles.join('|')], { folder, env });
    return ended(child, output);
  }
});
