import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser, untilShown } from './support/browser.ts';
import { copyProject } from './support/copyProject.ts';
import { ended, launch, launchDevServer, startDevServer, type ServerProcess } from './support/processes.ts';
import { recordShown, shown, upTo } from './support/shown.ts';
import { serverProcess } from './support/testServer.ts';

/** A restart takes some 2 s, and much longer on a busy machine. */
const soon = { timeout: 60_000 };

let folder: string;
let server: ServerProcess;
beforeAll(async () => {
  folder = await copyProject();
  server = await startDevServer({ TICK_MS: '100' }, folder);
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, maxRetries: 5 });
});

/** Edits a file of the copy that runs, and returns what undoes it. */
async function edit(file: string, change: (text: string) => string): Promise<() => Promise<void>> {
  const path = join(folder, file);
  const text = await readFile(path, 'utf8');
  await writeFile(path, change(text));
  return () => writeFile(path, text);
}

const health = async (): Promise<string> => (await fetch(`${server.url}/health`)).text();

describe.skipIf(isBrowserMissing())('the page', () => {
  let page: Page;
  const seen = { loads: 0, streams: 0 };
  beforeAll(async () => {
    const browser = await launchBrowser();
    page = await browser.newPage();
    page.on('load', () => (seen.loads += 1));
    page.on('request', (request) => (seen.streams += request.url().endsWith('/count') ? 1 : 0));
    await recordShown(page);
    await page.goto(server.url);
    await untilShown(page, 2);
    return () => browser.close();
  });

  test.each([
    ['client/index.css', '[role="timer"] { letter-spacing: 7px; }'],
    ['client/App.tsx', '// edited'],
    ['client/useEventSource.ts', '// edited'],
    ['client/subscribe.ts', '// edited'],
  ])('takes an edit of %s without a reload or a cut, and the count goes on', async (file, line) => {
    const updated = page.waitForResponse((response) => new URL(response.url()).searchParams.has('t'));
    await Promise.all([updated, edit(file, (text) => `${text}${line}\n`)]);
    await untilShown(page, (await shown(page)).length + 3);
    const numbers = await shown(page);
    expect(numbers).toEqual(upTo(numbers.length));
    expect(seen).toEqual({ loads: 1, streams: 1 });
  });

  test('goes on with its count after an edit of the server', async () => {
    const before = Math.max(...(await shown(page)));
    await edit('server/app.ts', (text) => text.replace("'ok'", "'edited'"));
    await expect.poll(health, soon).toContain('edited');
    await untilShown(page, before + 10);
    const [first = 0, ...rest] = await shown(page); // since Vite has reloaded the page
    expect(first).toBeGreaterThanOrEqual(before);
    expect(rest).toEqual(rest.map((_, i) => first + 1 + i));
  });
});

test('a syntax error of the server stands in the terminal, and the next edit heals it', async () => {
  const undo = await edit('server/count.ts', (text) => `${text}const const;`);
  await expect
    .poll(server.output, soon)
    .toContain('count.ts:11:6: ERROR: Expected identifier but found "const"');
  await undo();
  await expect.poll(health, soon).toContain('connections');
});

test('what is no page is a 404', async () => {
  const answer = await fetch(`${server.url}/nope`);
  expect([answer.status, await answer.text()]).toEqual([404, '']);
});

test('without HOST only this machine gets to the sources', async () => {
  const others = Object.values(networkInterfaces()).flatMap((all = []) => all.filter((one) => !one.internal));
  for (const host of ['127.0.0.2', ...others.map(({ address }) => address)]) {
    const socket = connect(server.port, host);
    const what = await new Promise((resolve) => socket.on('connect', resolve).on('error', resolve));
    expect(what, host).toBeInstanceOf(Error);
  }
});

test('a bad setting or a port in use is one line', async () => {
  const { port } = await serverProcess();
  for (const [PORT, line] of [
    ['abc', 'PORT: expected a whole number from 0 to 65535, found "abc"\n'],
    [`${port}`, `PORT: expected a free one, found ${port} in use; try PORT=${port + 1} npm run dev\n`],
  ]) {
    const { errors, stop } = launchDevServer({ PORT }, folder);
    onTestFinished(stop);
    await expect.poll(errors, soon).toBe(line);
  }
});

test('plain Vite says that it wants npm run dev', async () => {
  const { child, output } = launch([process.execPath, 'node_modules/vite/bin/vite.js'], { folder });
  expect(await ended(child, output)).toMatchObject({
    code: 1,
    output: expect.stringContaining('npm run dev'),
  });
});

test('Ctrl C ends it, with nothing left running', async () => {
  server.child.kill('SIGINT');
  await ended(server.child, server.output); // when all that hold its output have ended
  await expect(health()).rejects.toThrow();
});
