import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { examplesFolder as examples } from '../test/support/examples.ts';

const projectFolder = join(examples, '..');
const tsc = join(projectFolder, 'node_modules', 'typescript', 'bin', 'tsc');

function run(...command: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, command, { cwd: projectFolder, encoding: 'utf8' });
  return stdout + stderr;
}

test('the examples are sound under strict types, also in an empty project with the three files', async () => {
  expect(run(tsc, '--project', examples)).toBe('');
  const folder = await mkdtemp(join(tmpdir(), 'examples-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const copied = ['server/eventStream.ts', 'client/subscribe.ts', 'client/useEventSource.ts', 'examples'];
  for (const name of copied)
    await cp(join(projectFolder, name), join(folder, name), {
      recursive: true,
      // The counter on Hono, and the checks of other runtimes, are this project's own.
      filter: (path) => !/node_modules|\.proof\.ts$|response[\\/](server|responseChecks)\.ts$/.test(path),
    });
  await symlink(join(projectFolder, 'node_modules'), join(folder, 'node_modules'), 'junction');
  await symlink(join(examples, 'node_modules'), join(folder, 'examples', 'node_modules'), 'junction');
  const strict = JSON.parse(await readFile(join(examples, 'tsconfig.json'), 'utf8')).compilerOptions;
  const base = JSON.parse(await readFile(join(projectFolder, 'tsconfig.json'), 'utf8')).compilerOptions;
  const compilerOptions = { ...base, ...strict, incremental: false, tsBuildInfoFile: undefined };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['.'] }));
  expect(run(tsc, '--project', folder)).toBe('');
});

test('the tests of a stream and of a page pass, and show what is wrong', async () => {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--root', examples];
  expect(run(...vitest)).toMatch(/2 passed/);
  const wrong = join(examples, 'test-your-own-stream', 'wrong.test.ts');
  onTestFinished(() => rm(wrong, { force: true }));
  const text = await readFile(join(examples, 'test-your-own-stream', 'stream.test.ts'), 'utf8');
  await writeFile(wrong, text.replace('messages[2]', 'messages[1]'));
  const { status, stderr } = spawnSync(process.execPath, [...vitest, wrong], {
    cwd: projectFolder,
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/- Expected.*\+ Received/s);
  expect(stderr).not.toContain('timed out');
});
