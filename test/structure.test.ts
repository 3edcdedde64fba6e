import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

const projectFolder = join(import.meta.dirname, '..');

/** Each file of the project's own, and the files that it imports. */
const imports = new Map(
  ['server', 'client', 'test'].flatMap((room) =>
    readdirSync(join(projectFolder, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name))
      .map((name) => {
        const file = posix.join(room, name.replaceAll('\\', '/'));
        const text = readFileSync(join(projectFolder, file), 'utf8');
        const found = [...text.matchAll(/^(?:import|export|\}).* from '(\.[^']+)'/gm)];
        return [file, found.map(([, to = '']) => posix.join(posix.dirname(file), to))] as const;
      }),
  ),
);

test('server/ and client/ import nothing from another room, but in tests', () => {
  const strays = [...imports].flatMap(([file, targets]) =>
    /^test|\.test\./.test(file) ? [] : targets.filter((to) => to.split('/')[0] !== file.split('/')[0]),
  );
  expect(strays).toEqual([]);
});

test('no file imports itself by way of others', () => {
  const open = new Set<string>();
  const done = new Set<string>();
  function visit(file: string): void {
    expect([...open], `${file} imports itself`).not.toContain(file);
    if (done.has(file)) return;
    open.add(file);
    imports.get(file)?.forEach(visit);
    open.delete(file);
    done.add(file);
  }
  for (const file of imports.keys()) visit(file);
  expect(done.size).toBeGreaterThanOrEqual(imports.size);
});
