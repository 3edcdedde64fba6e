import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener } from 'node:http';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { transformWithOxc } from 'vite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Status, Subscription } from '../../client/subscribe.ts';
import { lastEventId, openEventStream } from '../../server/eventStream.ts';
import { isBrowserMissing, launchBrowser } from '../../test/support/browser.ts';
import { eventually, listen } from '../../test/support/testServer.ts';

declare global {
  interface Window {
    tab: { subscription: Subscription; numbers: number[]; statuses: Status[]; errors: string[] };
  }
}

const TICK_MS = 5;
const TABS = 8;
/** What a browser opens to one host over HTTP/1.1. */
const CONNECTIONS = 6;

/** Subscribes with the query's options, by itself if it says so, and keeps what comes. */
const PAGE = `<!doctype html><title>tab</title><script type="module">
  const { alone, ...options } = Object.fromEntries(new URLSearchParams(location.search));
  const { subscribe } = await import(alone ? '/client/subscribe.ts' : '/examples/one-connection/oneConnection.ts');
  const tab = { numbers: [], statuses: [], errors: [] };
  window.addEventListener('error', ({ message }) => tab.errors.push(message));
  Math.random = () => 0.001; // no backoff
  tab.subscription = subscribe(
    '/stream',
    { message: ({ data }) => tab.numbers.push(Number(data)) },
    { ...options, keep: Number(options.keep ?? 0), onStatus: (status) => tab.statuses.push(status) },
  );
  window.tab = tab;
</script>`;

describe.skipIf(isBrowserMissing())('eight tabs over HTTP/1.1', () => {
  let browser: Browser;
  beforeAll(async () => {
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await launchBrowser({ args: [...sandbox, '--host-resolver-rules=MAP plain.test 127.0.0.1'] });
  });
  afterAll(() => browser.close());

  /** A site whose stream counts, until it says `end`. */
  async function site(): Promise<Site> {
    const open = new Set<IncomingMessage>();
    const asked: string[] = [];
    const state = { isOver: false };
    const count: RequestListener = (req, res) => {
      let n = Number(lastEventId(req as { headers: IncomingMessage['headers']; url: string }));
      openEventStream(req, res, (stream) => {
        open.add(req);
        const timer = setInterval(() => {
          if (state.isOver) stream.finish();
          else stream.send({ id: (n += 1), data: n });
        }, TICK_MS);
        return () => {
          open.delete(req);
          clearInterval(timer);
        };
      });
    };
    const { port } = await listen((req, res) => {
      const { pathname } = new URL(req.url ?? '', 'http://localhost');
      asked.push(pathname);
      if (pathname === '/stream') return count(req, res);
      if (pathname === '/text') return res.end('text');
      if (pathname === '/') return res.setHeader('Content-Type', 'text/html').end(PAGE);
      if (!pathname.endsWith('.ts')) return res.writeHead(404).end();
      const file = join(import.meta.dirname, '../..', pathname);
      res.setHeader('Content-Type', 'text/javascript');
      return void readFile(file, 'utf8')
        .then((text) => transformWithOxc(text, file))
        .then(({ code }) => res.end(code));
    });
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    return {
      context,
      open,
      asked,
      state,
      origin: `http://127.0.0.1:${port}`,
      plain: `http://plain.test:${port}`,
    };
  }

  test('each with a connection of its own: the seventh does not load, and fetch hangs', async () => {
    const here = await site();
    const pages = await tabs(CONNECTIONS, here, '/?alone=1');
    const [first, last] = [pages[0] as Page, pages.at(-1) as Page];
    const before = here.asked.length;
    const seventh = await here.context.newPage();
    const loads = seventh.goto(here.origin);
    const fetches = last.evaluate(async () => (await fetch('/text')).text());
    await untilNumbers(last, 200);
    expect(here.asked.slice(before)).toEqual([]);
    await first.close();
    await Promise.all([loads, fetches]);
  });

  test('all load and get the same from one connection, and fetch works', async () => {
    const here = await site();
    const pages = await tabs(TABS, here);
    for (const page of pages) {
      expect(await page.evaluate(async () => (await fetch('/text')).text())).toBe('text');
      await untilNumbers(page, 20);
      expect(await statesOf(page)).toEqual(['connecting', 'open']);
    }
    expect(streamsOf(here)).toBe(1);
    await expectWhole(pages);
  });

  test('when the connected one closes, the next goes on: nothing lost, nothing twice', async () => {
    const here = await site();
    const pages = await tabs(TABS, here);
    for (let n = 1; n < TABS; n += 1) {
      const busy = block(pages[1] as Page); // it has not heard all when its turn comes
      await pages.shift()?.close();
      await busy;
      await eventually(() => streamsOf(here) === n + 1);
      for (const page of pages) await untilMore(page);
    }
    await expectWhole(pages);
    expect(here.open.size).toBe(1);
  });

  test('pause and close concern one tab, drop the connection', async () => {
    const here = await site();
    const pages = await tabs(3, here);
    const [first, second, third] = pages as [Page, Page, Page];
    await first.evaluate(() => window.tab.subscription.pause());
    await untilMore(second);
    await untilMore(third);
    expect(await statesOf(first)).toEqual(['connecting', 'open', 'paused']);
    expect((await statesOf(third)).slice(0, 2)).toEqual(['connecting', 'open']);
    expect(await statesOf(third)).not.toContain('paused');
    expect(here.open.size).toBe(1);

    const streams = streamsOf(here);
    await third.evaluate(() => window.tab.subscription.drop());
    await eventually(() => streamsOf(here) > streams);
    for (const page of [second, third]) await untilMore(page);
    expect(await statesOf(second)).toContain('reconnecting');
    expect(await statesOf(third)).toContain('reconnecting');

    await first.evaluate(() => window.tab.subscription.resume());
    await untilMore(first);
    await second.evaluate(() => window.tab.subscription.close());
    for (const page of [first, third]) await untilMore(page);
    expect((await statesOf(second)).at(-1)).toBe('closed');
    await third.close();
    await untilMore(first);
    await expectWhole([second]);
    expect(here.open.size).toBe(1);
  });

  test('one that has been in the back/forward cache comes back, and does not keep the connection there', async () => {
    const here = await site();
    const [first, second] = (await tabs(2, here)) as [Page, Page];
    await first.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    await untilMore(second);
    expect(await statesOf(second)).not.toContain('paused');
    await first.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await untilMore(first);
    await expectWhole([second]);
  });

  test('one that comes late or back is told the last messages that it has not seen', async () => {
    const here = await site();
    const [first, second] = (await tabs(2, here, '/?keep=100000')) as [Page, Page];
    await untilNumbers(first, 50);
    await untilMore(second);
    await second.evaluate(() => window.tab.subscription.pause());
    await untilMore(first);
    const busy = block(first); // it tells of messages before it answers
    await second.evaluate(() => window.tab.subscription.resume());
    await busy;
    await untilMore(second);
    await expectWhole([first, second], 1);
    expect(await second.evaluate(() => window.tab.errors)).toEqual([]);
  });

  test('the end of the stream is the end for all, and nobody asks again', async () => {
    const here = await site();
    const pages = await tabs(3, here);
    here.state.isOver = true;
    for (const page of pages)
      await page.waitForFunction(() => window.tab?.subscription.status.state === 'closed');
    const late = await here.context.newPage();
    await late.goto(here.origin);
    await late.waitForFunction(() => window.tab?.subscription.status.state === 'closed');
    expect(streamsOf(here)).toBe(2);
    for (const page of pages) expect(await page.evaluate(() => window.tab.errors)).toEqual([]);
  });

  test('without Web Locks each connects by itself', async () => {
    const here = await site();
    const pages = await tabs(2, { ...here, origin: here.plain });
    expect(await pages[0]?.evaluate(() => 'locks' in navigator)).toBe(false);
    expect(here.open.size).toBe(2);
  });
});

interface Site {
  context: BrowserContext;
  /** The streams that are open. */
  open: ReadonlySet<unknown>;
  /** The path of each request. */
  asked: string[];
  state: { isOver: boolean };
  origin: string;
  /** The same site, at a name where pages are no secure context. */
  plain: string;
}

/** Opens tabs one after the other, each when the one before has got something. */
async function tabs(n: number, { context, origin }: Site, query = ''): Promise<Page[]> {
  const opened: Page[] = [];
  for (let i = 0; i < n; i += 1) {
    const page = await context.newPage();
    await page.goto(origin + query);
    await untilNumbers(page);
    opened.push(page);
  }
  return opened;
}

function streamsOf({ asked }: Site): number {
  return asked.filter((path) => path === '/stream').length;
}

/** Keeps a tab's thread busy for a while. */
function block(page: Page): Promise<void> {
  return page.evaluate(() => {
    for (const end = performance.now() + 300; performance.now() < end;);
  });
}

async function untilNumbers(page: Page, n = 1): Promise<void> {
  await page.waitForFunction((wanted) => (window.tab?.numbers.length ?? 0) >= wanted, n);
}

async function untilMore(page: Page): Promise<void> {
  await untilNumbers(page, 10 + (await page.evaluate(() => window.tab.numbers.length)));
}

function statesOf(page: Page): Promise<string[]> {
  return page.evaluate(() => window.tab.statuses.map(({ state }) => state));
}

/** Expects that these tabs have got every number once and in order, since their first. */
async function expectWhole(pages: Page[], first?: number): Promise<void> {
  for (const page of pages) {
    const numbers = await page.evaluate(() => window.tab.numbers);
    const start = first ?? numbers[0] ?? NaN;
    expect(numbers).toEqual(Array.from(numbers, (_, index) => start + index));
  }
}
