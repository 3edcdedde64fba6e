import { execFileSync, execSync, spawnSync } from 'node:child_process';
import type { RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { build, type Rollup } from 'vite';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './support/browser.ts';
import { launch, listening } from './support/processes.ts';
import { eventually, listen } from './support/testServer.ts';

/** A page that uses the hook, and the packages that it is proven under. */
const folder = join(import.meta.dirname, 'react');
const installed = (name: string): string => join(folder, 'node_modules', name);

/** Where each of them finds React. */
const KINDS: Record<string, Record<string, string>> = {
  'React 19': { react: installed('react'), 'react-dom': installed('react-dom') },
  'React 18': { react: installed('react18'), 'react-dom': installed('react18-dom') },
  Preact: {
    'react-dom/server': installed('preact-render-to-string'),
    'react-dom/client': installed('preact/compat/client'),
    'react/jsx-runtime': installed('preact/jsx-runtime'),
    react: installed('preact/compat'),
  },
};

const CONNECTING = '<p role="status">connecting</p>';
const NEXT = [process.execPath, installed('next/dist/bin/next')];
const next = { folder: join(folder, 'next'), env: { NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' } };

beforeAll(() => {
  // React 18 and 19 side by side are a conflict of peers.
  execSync('npm install --no-package-lock --no-audit --no-fund --legacy-peer-deps', { cwd: folder });
});

test.each(Object.keys(KINDS))('%s renders the hook on the server, without a warning', async (kind) => {
  const { stdout, stderr } = await render(kind);
  expect(stderr).toBe('');
  expect(stdout).toContain(CONNECTING);
});

describe.skipIf(isBrowserMissing())('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test.each(Object.keys(KINDS))('%s hydrates the hook, and runs it', async (kind) => {
    const script = await bundle(kind, 'hydrate.tsx');
    const { stdout: html } = await render(kind);
    const page = `<!doctype html><div id="root">${html.trim()}</div><script type="module" src="/script.js"></script>`;
    await runHook((req, res) => {
      if (req.url === '/') res.setHeader('Content-Type', 'text/html').end(page);
      else res.setHeader('Content-Type', 'text/javascript').end(script);
    });
  });

  test('Next.js under React Compiler renders the hook on the server, hydrates it, and runs it', async () => {
    execFileSync(NEXT[0] ?? '', [...NEXT.slice(1), 'build'], {
      cwd: next.folder,
      env: { ...process.env, ...next.env },
    });
    const server = await listening(
      launch([...NEXT, 'start', '--port', '0', '--hostname', '127.0.0.1'], next),
    );
    onTestFinished(server.stop);
    expect(await (await fetch(server.url)).text()).toContain(CONNECTING);
    await runHook(async ({ url = '' }, res) => {
      const answer = await fetch(server.url + url);
      res.writeHead(answer.status, { 'Content-Type': answer.headers.get('Content-Type') ?? '' });
      res.end(Buffer.from(await answer.arrayBuffer()));
    });

    const answer = await fetch(`${server.url}/api/numbers`);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await answer.text()).toMatch(
      /^retry: \d+\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\nevent: end\n/,
    );
  });

  /** Opens the page, whose streams are the test's own, and uses it. */
  async function runHook(servePage: RequestListener): Promise<void> {
    const streams: { url: string; res: ServerResponse }[] = [];
    const server = await listen((req, res) => {
      const { url = '' } = req;
      if (url === '/favicon.ico') return res.end();
      if (!/^\/(stream|other)\b/.test(url)) return servePage(req, res);
      const stream = { url, res };
      streams.push(stream);
      res.once('close', () => streams.splice(streams.indexOf(stream), 1));
      return res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    });
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const problems: string[] = [];
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`http://127.0.0.1:${server.port}/`);

    const until = (role: 'status' | 'log', text: string): Promise<void> =>
      page.locator(`[role=${role}]:text-is("${text}")`).waitFor();
    await until('status', 'open');
    await eventually(() => streams.length === 1); // StrictMode's first one has gone
    streams[0]?.res.write('id: 1\ndata: a\n\nid: 2\ndata: b\n\n');
    await until('log', 'ab');
    await page.getByText('Pause').click();
    await until('status', 'paused');
    await eventually(() => streams.length === 0);
    await page.getByText('Resume').click();
    await until('status', 'open');
    expect(streams.map(({ url }) => url)).toEqual(['/stream?lastEventId=2']);
    streams[0]?.res.write('id: 3\ndata: c\n\n');
    await until('log', 'abc');
    await page.getByText('Other').click();
    await eventually(() => streams.length === 1 && streams[0]?.url === '/other');
    streams[0]?.res.write('event: done\ndata: \n\nevent: end\ndata: \n\n');
    await until('status', 'closed');
    await until('log', 'done');
    expect(problems).toEqual([]);
  }
});

/** Bundles a page for one kind of React, for a browser or for Node, as in development: otherwise nobody warns. */
async function bundle(kind: string, entry: string, ssr = false): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    root: folder,
    define: { 'process.env.NODE_ENV': '"development"' },
    resolve: { alias: KINDS[kind] ?? {} },
    ssr: { noExternal: true },
    build: { ssr, write: false, minify: false, rolldownOptions: { input: join(folder, entry) } },
  });
  return (output as Rollup.RollupOutput).output[0].code;
}

/** Renders the page on Node. */
async function render(kind: string): Promise<{ stdout: string; stderr: string }> {
  const input = await bundle(kind, 'render.tsx', true);
  return spawnSync(process.execPath, ['--input-type=module'], { input, encoding: 'utf8' });
}
