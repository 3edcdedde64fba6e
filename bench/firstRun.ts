import { spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDevServer } from '../e2e/support/processes.ts';

const projectFolder = join(import.meta.dirname, '..');

/** How long a fresh clone of the last commit takes to count, and to pass its tests, with a warm npm cache; as rows for a table. */
export async function measureNewcomer(): Promise<string[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'newcomer-'));
  try {
    const start = performance.now();
    const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
    run(folder, 'git', 'clone', '--quiet', projectFolder, '.');
    const clone = megabytes(folder);
    run(folder, 'npm', 'install', '--prefer-offline');
    const installed = `${seconds()}, ${megabytes(folder)} MB (${clone} MB without node_modules)`;

    const server = await startDevServer({}, folder);
    try {
      await (await fetch(server.url)).text();
      await firstNumber(`${server.url}/count`);
    } finally {
      await server.stop();
    }
    const counting = seconds();
    run(folder, 'npm', 'test');
    return [
      ['newcomer: from `git clone` to installed', installed],
      ['newcomer: to the first number on the page, its second included', counting],
      ['newcomer: to a finished `npm test`', seconds()],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function firstNumber(url: string): Promise<void> {
  const { body } = await fetch(url);
  if (body === null) throw new Error('expected a body');
  let text = '';
  for await (const bytes of body) {
    text += Buffer.from(bytes).toString();
    if (text.includes('data: 1\n')) return;
  }
}

function run(folder: string, command: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
}

function megabytes(folder: string): number {
  const bytes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const file = lstatSync(join(folder, name));
    return sum + (file.isDirectory() ? 0 : file.size);
  }, 0);
  return Math.round(bytes / 1e6);
}
