import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './browser.ts';
import { runDevServer, startDevServer, startServer } from './processes.ts';
import { expectToGoOn, recordShown, untilShown } from './shown.ts';

const projectFolder = join(import.meta.dirname, '..');
const COPIED = ['package.json', 'tsconfig.json', 'vite.config.ts', 'server', 'client'];

describe.skipIf(isBrowserMissing())('under npm run dev', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  /** Starts the dev server on a copy of the project that the test may edit, and opens its page. */
  async function start(): Promise<{ page: Page; url: string; edit: Edit; loads: () => number }> {
    const folder = await mkdtemp(join(tmpdir(), 'sse-counter-'));
    onTestFinished(() => rm(folder, { recursive: true, maxRetries: 5 }));
    await Promise.all(
      COPIED.map((name) => cp(join(projectFolder, name), join(folder, name), { recursive: true })),
    );
    await symlink(join(projectFolder, 'node_modules'), join(folder, 'node_modules'), 'junction');
    const { url, stop } = await startDevServer({ TICK_MS: '200' }, folder);
    onTestFinished(stop);

    const page = await browser.newPage();
    onTestFinished(() => page.close());
    let loads = 0;
    page.on('load', () => (loads += 1));
    await recordShown(page);
    await page.goto(url);
    await untilShown(page, 2);

    const edit: Edit = async (file, from, to) => {
      const path = join(folder, file);
      const text = await readFile(path, 'utf8');
      if (!text.includes(from)) throw new Error(`expected ${from} in ${file}`);
      await writeFile(path, text.replace(from, to));
    };
    return { page, url, edit, loads: () => loads };
  }

  type Edit = (file: string, from: string, to: string) => Promise<void>;

  test('an edit of the server takes effect by itself, and the count goes on without a reload', async () => {
    const { page, url, edit, loads } = await start();
    await edit('server/app.ts', "draining ? 'draining' : 'ok'", "draining ? 'draining' : 'edited'");
    await expect
      .poll(async () => (await (await fetch(`${url}/health`)).json()).status, { timeout: 2000 })
      .toBe('edited');
    await expectToGoOn(page, 3);
    expect(loads()).toBe(1);
  });

  test('a server file edited ten times in a row loses nothing', async () => {
    const { page, url, edit, loads } = await start();
    for (let i = 0; i < 10; i++) {
      await edit('server/count.ts', 'performance.now();', `performance.now(); // edit ${i}\n`);
      // Some edits meet an open stream, some a client that is on its way back.
      if (i % 3 === 0) await expectToGoOn(page, 1);
    }
    await expectToGoOn(page, 3);
    expect(loads()).toBe(1);
    expect((await (await fetch(`${url}/health`)).json()).connections).toBe(1);
  });

  test('a server file that does not compile is an outage, and its correction ends it', async () => {
    const { page, url, edit, loads } = await start();
    await edit('server/count.ts', 'const start =', 'const const start =');
    await expect.poll(async () => (await fetch(`${url}/health`)).status).toBe(500);
    await page.getByText(/^reconnecting, attempt/).waitFor();
    await edit('server/count.ts', 'const const start =', 'const start =');
    await expectToGoOn(page, 3);
    expect(loads()).toBe(1);
  });

  test('an edit of any part of the page updates it in place, and the count goes on', async () => {
    const { page, edit, loads } = await start();
    for (const [file, from, to] of [
      ['client/App.tsx', '<h1>Server-sent events</h1>', '<h1>Edited</h1>'],
      ['client/StatusLine.tsx', 'return status.state;', "return 'edited';"],
      ['client/useEventSource.ts', "{ state: 'connecting' }", "{ state: 'connecting' } /* edited */"],
      ['client/eventSource.ts', "END_EVENT = 'end'", "END_EVENT = 'edited'"],
      ['client/index.css', 'max-width: 40rem', 'max-width: 41rem'],
    ] as const) {
      const updated = page.waitForResponse((response) => new URL(response.url()).searchParams.has('t'));
      await edit(file, from, to);
      await updated;
      await expectToGoOn(page, 3);
    }
    expect(await page.getByRole('heading').textContent()).toBe('Edited');
    expect(await page.getByRole('status').textContent()).toBe('edited');
    expect(loads()).toBe(1);
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
