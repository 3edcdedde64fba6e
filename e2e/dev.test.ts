import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './support/browser.ts';
import { copyProject } from './support/copyProject.ts';
import { runDevServer, startDevServer, startServer, type ServerProcess } from './support/processes.ts';
import { expectToGoOn, recordShown, untilShown } from './support/shown.ts';

describe.skipIf(isBrowserMissing())('under npm run dev', () => {
  let folder: string;
  let server: ServerProcess;
  let browser: Browser;
  let page: Page;
  let loads = 0;

  // One page for all the tests: its count goes on from the first to the last.
  beforeAll(async () => {
    folder = await copyProject();
    [server, browser] = await Promise.all([startDevServer({ TICK_MS: '200' }, folder), launchBrowser()]);
    page = await browser.newPage();
    page.on('load', () => (loads += 1));
    await recordShown(page);
    await page.goto(server.url);
    await untilShown(page, 2);
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true, maxRetries: 5 });
  });
  afterEach(async () => {
    await expectToGoOn(page, 3);
    expect(loads).toBe(1);
  });

  /** Changes a file, and returns what restores it. */
  async function edit(file: string, change: (text: string) => string): Promise<() => Promise<void>> {
    const path = join(folder, file);
    const text = await readFile(path, 'utf8');
    const edited = change(text);
    if (edited === text) throw new Error(`${file}: expected a change, found the same text`);
    await writeFile(path, edited);
    return () => writeFile(path, text);
  }

  async function health(): Promise<{ status: string; connections: number }> {
    return (await fetch(`${server.url}/health`)).json();
  }

  test('an edit of the server takes effect by itself, and the count goes on without a reload', async () => {
    await edit('server/app.ts', (text) => text.replace("'ok'", "'edited'"));
    await expect.poll(async () => (await health()).status, { timeout: 5000 }).toBe('edited');
  });

  test('a server file edited ten times in a row loses nothing and leaves one connection', async () => {
    for (let i = 0; i < 10; i++) {
      await edit('server/count.ts', (text) => `${text}// edit ${i}\n`);
      // Some edits meet an open stream, some a client that is on its way back.
      if (i % 3 === 0) await expectToGoOn(page, 1);
    }
    await expectToGoOn(page, 2);
    await expect.poll(async () => (await health()).connections, { timeout: 5000 }).toBe(1);
  });

  test.each([
    ['does not compile', 'server/count.ts', (text: string) => `${text}const const;`],
    ['has a bad setting', 'server/settings.ts', (text: string) => text.replace('10_000, 1,', '0, 1,')],
    ['throws in a timer', 'server/app.ts', (text: string) => `${text}setInterval(() => thrown, 50);`],
  ])(
    'server code that %s is an outage of the stream, not of the page, and its correction ends it',
    async (_what, file, change) => {
      const restore = await edit(file, change);
      await expect.poll(async () => (await fetch(`${server.url}/health`)).status).toBe(500);
      expect((await fetch(server.url)).status).toBe(200);
      await page.getByRole('status').getByText('reconnecting').waitFor();
      await restore();
      await expect.poll(async () => (await fetch(`${server.url}/health`)).status).toBe(200);
    },
  );

  test('an import of a missing file is an outage that the new file ends', async () => {
    await edit('server/app.ts', (text) => `import './new.ts';\n${text}`);
    await expect.poll(async () => (await fetch(`${server.url}/health`)).status).toBe(500);
    await writeFile(join(folder, 'server', 'new.ts'), '');
    await expect.poll(async () => (await fetch(`${server.url}/health`)).status).toBe(200);
  });

  test.each([
    ['client/App.tsx', (text: string) => text.replace('<h1>', '<h1>Edited: ')],
    ['client/StatusLine.tsx', (text: string) => `${text}// edited`],
    ['client/useEventSource.ts', (text: string) => `${text}// edited`],
    ['client/subscribe.ts', (text: string) => `${text}// edited`],
    ['client/index.css', (text: string) => `${text}h1 { letter-spacing: 7px; }`],
  ])('an edit of %s updates the page in place, and the count goes on', async (file, change) => {
    const updated = page.waitForResponse((response) => new URL(response.url()).searchParams.has('t'));
    await Promise.all([updated, edit(file, change)]);
  });

  test('the edits of the page are on it', async () => {
    const heading = page.getByRole('heading', { level: 1 });
    expect(await heading.textContent()).toMatch(/^Edited: /);
    expect(await heading.evaluate((h1) => getComputedStyle(h1).letterSpacing)).toBe('7px');
  });
});

test('npm run dev with a bad PORT, or one in use, says so in one line and exits with 1', async () => {
  const bad = await runDevServer({ PORT: 'abc' });
  expect(bad).toMatchObject({
    code: 1,
    output: 'PORT: expected a whole number from 0 to 65535, found "abc"\n',
  });
  const { url, stop } = await startServer();
  onTestFinished(stop);
  const port = Number(new URL(url).port);
  const taken = await runDevServer({ PORT: String(port), HOST: '0.0.0.0' });
  expect(taken).toMatchObject({
    code: 1,
    output: expect.stringContaining(
      `PORT: expected a free one, found ${port} in use; try PORT=${port + 1} npm run dev\n`,
    ),
  });
});
