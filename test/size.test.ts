import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Rollup } from 'vite';
import { expect, test } from 'vitest';

const assets = join(import.meta.dirname, '..', 'dist', 'assets');

test('the page adds at most 5 kB of JavaScript to React, and 1.5 kB of CSS, gzipped', async () => {
  const files = await readdir(assets);
  const sizeOf = async (ending: string): Promise<number> => {
    const texts = files.filter((name) => name.endsWith(ending)).map((name) => readFile(join(assets, name)));
    return (await Promise.all(texts)).reduce((sum, text) => sum + gzipSync(text).length, 0);
  };
  expect((await sizeOf('.js')) - (await sizeOfReact())).toBeLessThanOrEqual(5000);
  expect(await sizeOf('.css')).toBeLessThanOrEqual(1500);
});

/** The bytes of a page that renders nothing, gzipped. */
async function sizeOfReact(): Promise<number> {
  const page = `import { StrictMode } from 'react';
    import { createRoot } from 'react-dom/client';
    createRoot(document.body).render(<StrictMode />);`;
  const output = await build({
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: { write: false, rolldownOptions: { input: 'page.jsx' } },
    plugins: [
      {
        name: 'page',
        resolveId: (id) => (id === 'page.jsx' ? join(import.meta.dirname, id) : undefined),
        load: (id) => (id.endsWith('page.jsx') ? page : undefined),
      },
    ],
  });
  const [chunk] = (output as Rollup.RollupOutput).output;
  return gzipSync(chunk.code).length;
}
