import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser, untilShown } from './support/browser.ts';
import { isNginxMissing, startNginx, type Nginx } from './support/nginx.ts';
import { startServer, type ServerProcess } from './support/processes.ts';
import { eventually } from './support/testServer.ts';

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
    const tabs = await openTabs(context, url, TABS);
    await Promise.all(tabs.map((tab) => untilShown(tab, 1)));
    const protocol = await tabs[0]?.evaluate(
      () => performance.getEntriesByType('navigation').map((entry) => entry.toJSON().nextHopProtocol)[0],
    );
    expect(protocol).toBe('h2');
    await Promise.all(tabs.map(goesOn));
  });

  test('share six connections over HTTP/1.1, and the seventh waits until another is closed', async () => {
    const context = await newContext();
    const url = `http://127.0.0.1:${nginx.ports.http}`;
    const tabs = await openTabs(context, url, CONNECTIONS_PER_HOST);
    await Promise.all(tabs.map((tab) => untilShown(tab, 1)));

    const seventh = await context.newPage();
    let loaded = false;
    const loading = seventh.goto(url).then(() => (loaded = true));
    await Promise.all(tabs.map(goesOn));
    expect(loaded).toBe(false);

    await tabs.pop()?.close();
    await loading;
    await untilShown(seventh, 1);
    await Promise.all(tabs.map(goesOn));
  });

  async function newContext(): Promise<BrowserContext> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    onTestFinished(() => context.close());
    return context;
  }
});

/** Opens one tab, and the others from it, as its links would: they share its process, and cost a third. */
async function openTabs(context: BrowserContext, url: string, count: number): Promise<Page[]> {
  const first = await context.newPage();
  await first.goto(url);
  await first.evaluate((others) => {
    for (let n = 0; n < others; n++) window.open(location.href);
  }, count - 1);
  await eventually(() => context.pages().length === count);
  return context.pages();
}

/** Waits for three further numbers. */
async function goesOn(page: Page): Promise<void> {
  await untilShown(page, Number(await page.getByRole('timer').textContent()) + 3);
}
