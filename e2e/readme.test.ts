import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { programPath } from './browser.ts';
import { PITFALLS } from './pitfalls.ts';

/** What an engineer reads in a minute. */
const WORDS_A_MINUTE = 240;
const LINES_A_MINUTE = 100;

/** The files on a number's way. */
const WAY = [
  'server/count.ts',
  'server/app.ts',
  'server/eventStream.ts',
  'client/eventSource.ts',
  'client/useEventSource.ts',
  'client/App.tsx',
];

const readme = read('README.md');

function read(file: string): string {
  return readFileSync(join(import.meta.dirname, '..', file), 'utf8');
}

test.each(PITFALLS)('a row of README leads to $code and to “$test”', (pitfall) => {
  const code = read(pitfall.file).indexOf(pitfall.code.trim());
  expect(code).toBeGreaterThan(0);
  const line = read(pitfall.file).slice(0, code).split('\n').length;
  const wanted = [`](${pitfall.file}#L${line})`, `](${pitfall.testFile}) “${pitfall.test}`];
  const row = readme.split('\n').find((text) => wanted.every((link) => text.includes(link)));
  expect(row, `a row with ${wanted.join(' and ')}`).toBeDefined();
  expect(read(pitfall.testFile).includes(pitfall.test)).toBe(true);
});

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

test('README and the way of a number are read in ten minutes', () => {
  const prose = readme.replaceAll(/^```.*?^```|^\|.*?$/gms, '').split(/\s+/).length;
  const lines = WAY.flatMap((file) => read(file).split('\n')).filter((line) => line.trim() !== '').length;
  console.log(`README: ${prose} words beside tables and examples; the way of a number: ${lines} lines`);
  expect(prose / WORDS_A_MINUTE + lines / LINES_A_MINUTE).toBeLessThan(10);
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
