import { execSync, spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

// The three files, and a product that uses them, as somebody else compiles them: with packages of another
// project, none of this one.
const isShort = process.env['PROOF'] === 'short';
const roomFolder = join(import.meta.dirname, 'copy');
const projectFolder = join(import.meta.dirname, '..');
const SERVER = ['server/eventStream.ts', 'test/copy/server.ts'];
const PAGE = ['client/subscribe.ts', 'client/useEventSource.ts', 'test/copy/page.tsx'];
const packages = createRequire(join(roomFolder, 'package.json'));

// What each project's own tsconfig says. TypeScript 5.4 knows no target after ES2022.
const BUNDLED = { target: 'ES2022', module: 'ESNext', moduleResolution: 'bundler', strict: true };
const STRICT_UNUSED = { verbatimModuleSyntax: true, noUnusedLocals: true, noUnusedParameters: true };
const VITE = { ...BUNDLED, ...STRICT_UNUSED, lib: ['ES2023', 'DOM', 'DOM.Iterable'], jsx: 'react-jsx' };
const OLD = { ...VITE, target: 'ES2020', lib: ['ES2020', 'DOM'], verbatimModuleSyntax: false };
const REACT_ROUTER = { ...VITE, lib: ['ES2022', 'DOM', 'DOM.Iterable'] };
const NEXT = { ...BUNDLED, target: 'ES2017', lib: ['esnext', 'dom', 'dom.iterable'], jsx: 'preserve' };
const NEXT_LOOSE = { ...NEXT, strict: false, isolatedModules: true };
const NEST = { target: 'ES2023', lib: ['ES2023'], module: 'commonjs', strictNullChecks: true };
const STRICTEST = {
  ...VITE,
  exactOptionalPropertyTypes: true,
  isolatedDeclarations: true,
  declaration: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
};

type Case = [typescript: string, node: number, react: number, options: object, files?: string[]];
const BOTH = [...SERVER, ...PAGE];
const SHORT: Case[] = [
  ['5.4', 18, 18, OLD],
  ['5.9', 24, 19, NEXT_LOOSE],
  ['7', 26, 19, VITE],
];
const ALL: Case[] = [
  ...['5.4', '5.9', '6', '7'].flatMap((typescript) =>
    [18, 20, 22, 24, 26].map((node): Case => [typescript, node, 19, VITE]),
  ),
  ...SHORT.slice(0, 2),
  ['5.9', 22, 18, NEXT],
  ['7', 24, 19, NEXT_LOOSE],
  ['5.9', 24, 19, NEST, SERVER],
  ['5.9', 24, 19, REACT_ROUTER],
  ['5.9', 24, 19, STRICTEST, ['server/eventStream.ts']],
  ['7', 24, 19, STRICTEST, ['client/subscribe.ts', 'client/useEventSource.ts']],
];

let folder: string;

beforeAll(async () => {
  execSync(`npm install --no-audit --no-fund --no-package-lock ${isShort ? '--omit=dev' : ''}`, {
    cwd: roomFolder,
  });
  folder = await mkdtemp(join(tmpdir(), 'copied-'));
  await Promise.all(BOTH.map((file) => cp(join(projectFolder, file), join(folder, basename(file)))));
  await symlink(join(roomFolder, 'node_modules'), join(folder, 'node_modules'), 'junction');
});
afterAll(() => rm(folder, { recursive: true, maxRetries: 5 }));

async function configure([, node, react, options, files = BOTH]: Case): Promise<void> {
  const types = `./node_modules/@types/react${react}`;
  const paths = { react: [types], 'react/*': [`${types}/*`] };
  const compilerOptions = { types: [`node${node}`], paths, noEmit: true, skipLibCheck: true, ...options };
  const tsconfig = JSON.stringify({ compilerOptions, files: files.map((file) => basename(file)) });
  await writeFile(join(folder, 'tsconfig.json'), tsconfig);
}

test.each(isShort ? SHORT : ALL)('TypeScript %s, @types/node %i, @types/react %i, %j', async (...given) => {
  await configure(given);
  const tsc = join(folder, 'node_modules', `typescript${given[0]}`, 'bin', 'tsc');
  expect(spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout).toBe('');
});

describe.skipIf(isShort)('beside the compiler', () => {
  test('typescript-eslint’s and React’s recommended rules find nothing', async () => {
    await configure(['5.9', 24, 19, VITE]);
    await writeFile(
      join(folder, 'eslint.config.mjs'),
      `import hooks from 'eslint-plugin-react-hooks';
      import { configs } from 'typescript-eslint';
      export default [
        ...configs.recommendedTypeChecked,
        hooks.configs.flat.recommended,
        { languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } } },
      ];`,
    );
    const eslint = join(folder, 'node_modules', 'eslint', 'bin', 'eslint.js');
    const files = ['eventStream.ts', 'subscribe.ts', 'useEventSource.ts'];
    const { output, status } = spawnSync(process.execPath, [eslint, ...files], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(status, output.join('')).toBe(0);
  });

  test('the wire format runs where there is no Node', async () => {
    const { EdgeVM } = packages('@edge-runtime/vm');
    const text = await readFile(join(projectFolder, 'server/eventStream.ts'), 'utf8');
    const compilerOptions = { module: 1, target: 9 }; // CommonJS, ES2022
    const { outputText } = packages('typescript').transpileModule(text, { compilerOptions });
    const result: unknown = new EdgeVM().evaluate(`
      const exports = {};
      (() => { ${outputText} })();
      const { formatComment, formatControlEvent, formatMessage, formatRetry, json, lastEventId } = exports;
      [
        typeof process, typeof Buffer,
        formatRetry(5), formatMessage({ id: 1, data: json({ n: 1 }) }), formatComment('é'), formatControlEvent('end'),
        lastEventId(new Request('https://a.example/?lastEventId=a', { headers: { 'Last-Event-ID': 'b' } })),
      ].join('|')`);
    expect(result).toBe(
      'undefined|undefined|retry: 5\n\n|id: 1\ndata: {"n":1}\n\n|: é\n\n|event: end\ndata: \n\n|b',
    );
  });
});
