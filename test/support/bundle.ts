import { build, type Rollup } from 'vite';

/** Bundles a module with all that it imports, minified, as one module. */
export async function bundle(entry: string): Promise<string> {
  const lib = { entry, formats: ['es' as const] };
  const options = { write: false, minify: true, target: 'esnext', lib };
  const result = await build({ configFile: false, logLevel: 'error', build: options });
  const [{ output }] = result as [Rollup.RolldownOutput];
  return output[0].code;
}
