import { execFileSync, execSync } from 'node:child_process';
import { cp } from 'node:fs/promises';
import type { RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './support/browser.ts';
import { ended, launch, listening } from './support/processes.ts';
import { eventually, listen } from './support/testServer.ts';

const folder = join(import.meta.dirname, 'react');
const nextFolder = join(import.meta.dirname, 'next');

const KINDS = [
  'React 19',
  'React 19 under React Compiler, by react({ compiler: true })',
  'React 19 under React Compiler, by its Babel plugin',
  'React 18',
  'Preact',
];

/** What `react/build.js` prints. */
interface Built {
  pages: Record<string, { script: string; html: string; warnings: string[] }>;
  lint: { files: number; problems: string[] };
}

let built: Built;
beforeAll(() => {
  for (const cwd of [folder, nextFolder]) {
    execSync('npm ci --no-audit --no-fund', { cwd });
  }
  const command = [join(folder, 'build.js')];
  built = JSON.parse(execFileSync(process.execPath, command, { encoding: 'utf8', maxBuffer: 2 ** 26 }));
});

test('the rules of React’s hooks, as eslint-plugin-react-hooks recommends them, find nothing', () => {
  expect(built.lint.problems).toEqual([]);
  expect(built.lint.files).toBeGreaterThan(10);
});

test.each(KINDS)('%s renders the hook on the server, without a warning', (kind) => {
  expect(built.pages[kind]?.html).toContain('<p role="status">connecting</p>');
  expect(built.pages[kind]?.warnings).toEqual([]);
});

describe.skipIf(isBrowserMissing())('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test.each(KINDS)('%s runs the hook: one stream, paused, resumed, and another one', async (kind) => {
    const { script, html } = built.pages[kind] ?? { script: '', html: '' };
    await runHook((req, res) => {
      const page = `<!doctype html><body><div id="root">${html}</div><script type="module" src="/script.js"></script>`;
      if (req.url === '/') res.setHeader('Content-Type', 'text/html').end(page);
      else res.setHeader('Content-Type', 'text/javascript').end(script);
    });
  });

  test('Next.js under React Compiler renders the hook on the server, and runs it', async () => {
    await cp(join(folder, 'page.tsx'), join(nextFolder, 'copied/test/react/page.tsx'));
    for (const file of ['subscribe.ts', 'useEventSource.ts']) {
      await cp(join(folder, '../../client', file), join(nextFolder, 'copied/client', file));
    }
    const env = { NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' };
    const next = [process.execPath, join(nextFolder, 'node_modules/next/dist/bin/next')];
    const { child, output } = launch([...next, 'build'], { folder: nextFolder, env });
    const { code } = await ended(child, output);
    expect(code, output()).toBe(0);
    const server = await listening(
      launch([...next, 'start', '--port', '0', '--hostname', '127.0.0.1'], { folder: nextFolder, env }),
    );
    onTestFinished(server.stop);
    expect(await (await fetch(server.url)).text()).toContain('<p role="status">connecting</p>');
    await runHook(async ({ url = '' }, res) => {
      const answer = await fetch(server.url + url);
      res.writeHead(answer.status, { 'Content-Type': answer.headers.get('Content-Type') ?? '' });
      res.end(Buffer.from(await answer.arrayBuffer()));
    });
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
    const asked = (): string[] => streams.map(({ url }) => url);
    await until('status', 'open');
    await eventually(() => streams.length === 1);
    streams[0]?.res.write('id: 1\ndata: a\n\nid: 2\ndata: b\n\n');
    await until('log', 'ab');
    await page.getByText('Pause').click();
    await until('status', 'paused');
    await eventually(() => streams.length === 0);
    await page.getByText('Resume').click();
    await until('status', 'open');
    expect(asked()).toEqual(['/stream?lastEventId=2']);
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
