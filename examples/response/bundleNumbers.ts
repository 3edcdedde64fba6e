import { join } from 'node:path';
import { build, type Rollup } from 'vite';

/** Bundles runtimes/numbers.ts with what hands requests to it, for runtimes that take one file. */
export async function bundleNumbers(entry: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      target: 'esnext',
      rolldownOptions: { input: 'entry', preserveEntrySignatures: 'strict' },
    },
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry' ? '\0entry' : undefined),
        load: (id) =>
          id === '\0entry'
            ? `import { numbers } from ${JSON.stringify(join(import.meta.dirname, 'runtimes/numbers.ts'))};\n${entry}`
            : undefined,
      },
    ],
  });
  return (output as Rollup.RollupOutput).output[0].code;
}
