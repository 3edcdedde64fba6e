import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { programPath } from './support/browser.ts';

const projectFolder = join(import.meta.dirname, '..');
const READMES = ['README.md', 'test/README.md', 'bench/README.md', 'examples/README.md'];

function read(file: string): string {
  return readFileSync(join(projectFolder, file), 'utf8');
}

/** The code in a text: blocks, and what stands between backticks. */
function codeIn(text: string): string {
  return allMatches(text, /```\w*\n(.*?)```|`([^`\n]+)`/gs).join('\n');
}

/** The first group that took part in each match. */
function allMatches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, one, other]) => one ?? other ?? '');
}

describe.each(READMES)('%s', (readme) => {
  const text = read(readme);
  const code = codeIn(text);

  test('links to files that exist', () => {
    const links = allMatches(text, /\]\((?!http|#)([^)#]+)/g);
    const missing = links.filter((file) => !existsSync(join(projectFolder, dirname(readme), file)));
    expect(missing).toEqual([]);
  });

  test('names commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const named = allMatches(code, /npm (?:run )?(\w+)/g);
    const known = ['install', 'ci', ...Object.keys(scripts)];
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
    const files = allMatches(code, /(?:vitest run|--import tsx|node) ([\w./-]+\.tsx?)/g);
    expect(files.filter((file) => !existsSync(join(projectFolder, file)))).toEqual([]);
  });
});

test('README shows examples/clock as it is', () => {
  const [server = '', page = ''] = allMatches(read('README.md'), /^```ts\n(.*?)^```/gms);
  expect(read('examples/clock/server.ts')).toContain(server);
  expect(read('examples/clock/page.ts')).toContain(page);
});

test('README names all scripts', () => {
  const named = allMatches(codeIn(read('README.md')), /npm (?:run )?(\w+)/g);
  expect(named).toEqual(expect.arrayContaining(Object.keys(JSON.parse(read('package.json')).scripts)));
});

test('README, the systemd unit and the Dockerfile start the server as `npm start` does', () => {
  const { start } = JSON.parse(read('package.json')).scripts;
  expect(read('README.md')).toContain(`\`${start}\``);
  expect(read('examples/serve-it/app@.service')).toContain(`ExecStart=/usr/bin/${start}\n`);
  expect(read('examples/serve-it/Dockerfile')).toContain(
    `CMD ${JSON.stringify(start.split(' ')).replaceAll(',', ', ')}\n`,
  );
});

const analyze = programPath('systemd-analyze');
test.skipIf(analyze === undefined)('the systemd unit is sound', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unit-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'app@7001.service');
  const unit = read('examples/serve-it/app@.service')
    .replace(/WorkingDirectory=.*/, `WorkingDirectory=${projectFolder}`)
    .replace('/usr/bin/node', process.execPath);
  await writeFile(path, unit);
  execFileSync(analyze ?? '', ['verify', path], { stdio: 'pipe' });
});
