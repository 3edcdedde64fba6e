import { cp, mkdir, mkdtemp, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const projectFolder = join(import.meta.dirname, '..', '..');

/** Copies what `npm run dev` needs, and `more`, to a temporary folder, which the caller removes. */
export async function copyProject(...more: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sse-counter-'));
  const names = ['package.json', 'tsconfig.json', 'vite.config.ts', 'server', 'client', ...more];
  await Promise.all(
    names.map((name) => cp(join(projectFolder, name), join(folder, name), { recursive: true, filter })),
  );
  await linkPackages(join(projectFolder, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Leaves the packages of rooms that have their own, and what is built from them. */
function filter(path: string): boolean {
  return !['node_modules', '.next'].includes(basename(path));
}

/** Links each package by itself: Vite keeps a cache beside them, and each project has its own. */
async function linkPackages(from: string, to: string): Promise<void> {
  await mkdir(to);
  const names = (await readdir(from)).filter((name) => !name.startsWith('.'));
  await Promise.all(names.map((name) => symlink(join(from, name), join(to, name), 'junction')));
}
