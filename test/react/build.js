// Builds the page for each kind of React, renders it on the server, and lints the hook. Prints what came of
// it as JSON.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { transformAsync } from '@babel/core';
import compiler from 'babel-plugin-react-compiler';
import { ESLint } from 'eslint';
import hooks from 'eslint-plugin-react-hooks';
import react from '@vitejs/plugin-react';
import { parser } from 'typescript-eslint';
import { build } from 'vite';

process.env.NODE_ENV = 'development'; // React warns in no other

const folder = import.meta.dirname;
const installed = (name) => join(folder, 'node_modules', name);
const ours = (name) => join(folder, '../../node_modules', name);
const isOurs = (id) => /\.tsx?$/.test(id) && !id.includes('node_modules');
const strict = { panicThreshold: 'all_errors' };

const babel = {
  name: 'babel',
  enforce: 'pre',
  async transform(code, id) {
    if (!isOurs(id)) return;
    const { code: compiled } = await transformAsync(code, {
      filename: id,
      babelrc: false,
      configFile: false,
      parserOpts: { plugins: ['typescript', 'jsx'] },
      plugins: [[compiler, strict]],
    });
    return compiled;
  },
};

const react19 = { react: ours('react'), 'react-dom': ours('react-dom') };

const VARIANTS = [
  { name: 'React 19', alias: react19 },
  {
    name: 'React 19 under React Compiler, by react({ compiler: true })',
    alias: react19,
    plugins: [react({ compiler: strict })],
  },
  { name: 'React 19 under React Compiler, by its Babel plugin', alias: react19, plugins: [babel] },
  { name: 'React 18', alias: { react: installed('react'), 'react-dom': installed('react-dom') } },
  {
    name: 'Preact',
    alias: {
      'react-dom/server': installed('preact-render-to-string'),
      'react-dom/client': installed('preact/compat/client'),
      'react-dom': installed('preact/compat'),
      'react/jsx-runtime': installed('preact/jsx-runtime'),
      react: installed('preact/compat'),
    },
  },
];

async function bundle({ plugins = [], alias = {} }, entry, more) {
  const { output } = await build({
    configFile: false,
    logLevel: 'error',
    root: folder,
    plugins,
    resolve: { alias },
    ssr: { noExternal: true },
    ...more,
    build: { write: false, rolldownOptions: { input: join(folder, entry) }, ...more?.build },
  });
  return output[0].code;
}

async function render(variant) {
  const out = await mkdtemp(join(folder, 'node_modules', 'rendered-'));
  const warnings = [];
  const { error } = console;
  try {
    await bundle(variant, 'render.tsx', { build: { ssr: true, write: true, outDir: out } });
    console.error = (...given) => warnings.push(given.join(' '));
    const { html } = await import(pathToFileURL(join(out, 'render.js')));
    return { html, warnings };
  } finally {
    console.error = error;
    await rm(out, { recursive: true });
  }
}

async function lint() {
  const eslint = new ESLint({
    cwd: join(folder, '../..'),
    overrideConfigFile: true,
    overrideConfig: [
      { files: ['**/*.{ts,tsx}'], languageOptions: { parser }, ...hooks.configs.flat['recommended-latest'] },
    ],
  });
  const results = await eslint.lintFiles(['client/*.ts', 'client/*.tsx', 'test/react/*.tsx']);
  return {
    files: results.length,
    problems: results.flatMap(({ filePath, messages }) =>
      messages.map(({ line, message }) => `${filePath}:${line} ${message}`),
    ),
  };
}

const pages = {};
for (const variant of VARIANTS) {
  pages[variant.name] = { script: await bundle(variant, 'hydrate.tsx'), ...(await render(variant)) };
}
process.stdout.write(JSON.stringify({ pages, lint: await lint() }));
