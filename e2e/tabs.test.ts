import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './browser.ts';
import { isNginxMissing, startNginx, type Nginx } from './nginx.ts';
import { startServer, type ServerProcess } from './processes.ts';

const TABS = 20;

/** What HTTP/1.1 browsers open at most to one host. */
const CONNECTIONS_PER_HOST = 6;

describe.skipIf(isNginxMissing() || isBrowserMissing())('twenty tabs behind nginx', () => {
  let browser: Browser;
  let servers: ServerProcess[];
  let nginx: Nginx;
  beforeAll(async () => {
    browser = await launchBrowser();
    const [one, other] = await Promise.all([
      startServer({ TICK_MS: '500' }),
      startServer({ TICK_MS: '500' }),
    ]);
    servers = [one, other];
    nginx = await startNginx([Number(new URL(one.url).port), Number(new URL(other.url).port)]);
  }, 30_000);
  afterAll(async () => {
    await browser.close();
    await nginx.stop();
    for (const server of servers) await server.stop();
  });

  test('all count over HTTP/2', async () => {
    const context = await newContext();
    const url = `https://127.0.0.1:${nginx.ports.https}`;
    await Promise.all(Array.from({ length: TABS }, async () => counts(await open(context, url))));
    const protocol = await context
      .pages()[0]
      ?.evaluate(
        () => performance.getEntriesByType('navigation').map((entry) => entry.toJSON().nextHopProtocol)[0],
      );
    expect(protocol).toBe('h2');
    await Promise.all(context.pages().map(goesOn));
  });

  test('share six connections over HTTP/1.1, and the seventh waits until another is closed', async () => {
    const context = await newContext();
    const url = `http://127.0.0.1:${nginx.ports.http}`;
    const pages = Array.from({ length: CONNECTIONS_PER_HOST }, () => open(context, url));
    await Promise.all((await Promise.all(pages)).map(counts));
    const [first, ...others] = context.pages();

    const seventh = await context.newPage();
    let loaded = false;
    const loading = seventh.goto(url).then(() => (loaded = true));
    await Promise.all([first, ...others].map((page) => page && goesOn(page)));
    expect(loaded).toBe(false);

    await first?.close();
    await loading;
    await counts(seventh);
    await Promise.all(others.map(goesOn));
  });

  async function newContext(): Promise<BrowserContext> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    onTestFinished(() => context.close());
    return context;
  }
});

async function open(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

async function counts(page: Page): Promise<void> {
  await page.waitForFunction(() => Number(document.querySelector('[role="timer"]')?.textContent) >= 1);
}

/** Waits for three further numbers. */
async function goesOn(page: Page): Promise<void> {
  const shown = Number(await page.getByRole('timer').textContent());
  await page.waitForFunction(
    (wanted) => Number(document.querySelector('[role="timer"]')?.textContent) >= wanted,
    shown + 3,
  );
}
