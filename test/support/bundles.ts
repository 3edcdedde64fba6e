import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type BuildEnvironmentOptions } from 'vite';

const projectFolder = join(import.meta.dirname, '..', '..');
const SCRIPTS = { hook: 'test/support/hookPage.tsx', subscribe: 'client/subscribe.ts' };

/**
 * Vitest's global set-up: bundles what test files start or open, `server/main.js` beside `dist`, and `page/*.js`.
 * Node starts one file in a third of the time that tsx takes, and no test file needs Vite.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const page = join(projectFolder, 'dist');
  if (!existsSync(page)) {
    console.error('dist: expected the built page, found none. Run npm run build first');
    process.exit(1); // what setup throws is printed among much else
  }
  const folder = await mkdtemp(join(tmpdir(), 'bundles-'));
  await Promise.all([
    cp(page, join(folder, 'dist'), { recursive: true }),
    bundle({ ssr: 'server/main.ts', outDir: join(folder, 'server') }),
    bundle({
      outDir: join(folder, 'page'),
      rolldownOptions: {
        input: SCRIPTS,
        output: { entryFileNames: '[name].js' },
        preserveEntrySignatures: 'strict',
      },
    }),
  ]);
  process.env['TEST_BUNDLES'] = folder;
  return () => rm(folder, { recursive: true });
}

async function bundle(options: BuildEnvironmentOptions): Promise<void> {
  await build({
    configFile: false,
    logLevel: 'error',
    root: projectFolder,
    ssr: { noExternal: true },
    build: { minify: false, ...options },
  });
}
