import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { programPath } from './support/browser.ts';
import { PITFALLS } from './pitfalls.ts';

const readme = read('README.md');

function read(file: string): string {
  return readFileSync(join(import.meta.dirname, '..', file), 'utf8');
}

test.each(PITFALLS)(
  'the handling of a pitfall and its test exist: “$test”',
  ({ file, code, testFile, test }) => {
    expect(read(file)).toContain(code);
    expect(read(testFile)).toContain(test);
  },
);

test('all files that README links to exist', () => {
  const links = [...readme.matchAll(/\]\((?!http)([^)#]+)/g)].map(([, file]) => file ?? '');
  expect(links.length).toBeGreaterThan(20);
  for (const file of links) expect(existsSync(join(import.meta.dirname, '..', file)), file).toBe(true);
});

test('all commands that README names are scripts, and all scripts are in README', () => {
  const named = new Set([...readme.matchAll(/npm (?:run )?(\w+)/g)].map(([, name]) => name));
  const scripts = Object.keys(JSON.parse(read('package.json')).scripts);
  expect(scripts.filter((name) => !named.has(name))).toEqual([]);
  expect([...named].filter((name) => ![...scripts, 'install', 'ci'].includes(name ?? ''))).toEqual([]);
});

const analyze = programPath('systemd-analyze');
test.skipIf(analyze === undefined)('the systemd unit in README is sound', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unit-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const unit = /^```ini\n(.*?)^```/ms.exec(readme)?.[1] ?? '';
  const path = join(folder, 'counter@7001.service');
  await writeFile(path, unit.replace(/WorkingDirectory=.*/, `WorkingDirectory=${process.cwd()}`));
  execFileSync(analyze ?? '', ['verify', path], { stdio: 'pipe' });
});
