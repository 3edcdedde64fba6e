import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { lastEventId, openEventStream } from '../../server/eventStream.ts';
import { isBrowserMissing, launchBrowser } from '../../test/support/browser.ts';
import { bundle } from '../../test/support/bundle.ts';
import { eventually, listen } from '../../test/support/testServer.ts';

const TABS = 8;

/** Subscribes with the query's options, and keeps what comes. A `lag` makes channels slower than locks. */
const PAGE = `<!doctype html><title>tab</title><script type="module">
  import { subscribe } from '/subscribe.js';
  const { url = '/stream', isFunction, pauseAt, lag, keep = 0, ...options } =
    Object.fromEntries(new URLSearchParams(location.search));
  Math.random = () => 0.001; // no backoff
  if (lag) window.BroadcastChannel = class extends BroadcastChannel {
    addEventListener(type, listener) {
      super.addEventListener(type, (event) => setTimeout(() => this.isClosed || listener(event), lag));
    }
    close() {
      this.isClosed = true;
      super.close();
    }
  };
  window.numbers = [];
  window.states = [];
  window.handlers = {
    message({ data }) {
      numbers.push(Number(data));
      if (numbers.length === Number(pauseAt)) tab.pause();
    },
  };
  const onStatus = ({ state, status }) => states.push(status ?? state);
  const all = { ...options, keep: Number(keep), onStatus };
  window.tab = subscribe(isFunction ? () => url : url, handlers, all);
</script>`;

interface Site {
  context: BrowserContext;
  origin: string;
  /** How many streams are open. */
  open: number;
  /** How often the stream was asked for. */
  asked: number;
  /** What the stream does. */
  mode: 'counts' | 'counts without IDs' | 'is silent' | 'ends' | 'refuses';
}

describe.skipIf(isBrowserMissing())('tabs over HTTP/1.1', () => {
  let browser: Browser;
  let script: string;
  beforeAll(async () => {
    script = await bundle(join(import.meta.dirname, 'oneConnection.ts'));
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await launchBrowser({ args: [...sandbox, '--host-resolver-rules=MAP plain.test 127.0.0.1'] });
  });
  afterAll(() => browser.close());

  async function site(): Promise<Site> {
    const { port } = await listen((req, res) => {
      const { pathname, search } = new URL(req.url ?? '', 'http://localhost');
      res.setHeader('Access-Control-Allow-Origin', '*'); // a sandbox is another origin
      if (search === '?sandbox') res.setHeader('Content-Security-Policy', 'sandbox allow-scripts');
      if (pathname === '/text') return res.end('text');
      if (pathname === '/subscribe.js') return res.setHeader('Content-Type', 'text/javascript').end(script);
      if (pathname !== '/stream') return res.setHeader('Content-Type', 'text/html').end(PAGE);
      here.asked += 1;
      if (here.mode === 'refuses') return res.writeHead(503, { 'Retry-After': '3600' }).end();
      let n = Number(lastEventId({ headers: req.headers, url: req.url ?? '' }));
      return openEventStream(req, res, (stream) => {
        here.open += 1;
        const timer = setInterval(() => {
          if (here.mode === 'ends') stream.finish();
          if (!here.mode.startsWith('counts')) return;
          n += 1;
          stream.send({ id: here.mode === 'counts' ? n : undefined, data: n });
          res.write('id\nevent: note\ndata\n\n'); // an empty ID, as some clients report for none
        }, 5);
        return () => {
          here.open -= 1;
          clearInterval(timer);
        };
      });
    });
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const here: Site = { context, origin: `http://127.0.0.1:${port}`, open: 0, asked: 0, mode: 'counts' };
    return here;
  }

  test('all load and get the same from one connection, and fetch works', async () => {
    const here = await site();
    const pages = await tabs(TABS - 1, here);
    pages.push(...(await tabs(1, here, `/?url=${here.origin}/stream`)));
    for (const page of pages) {
      expect(await page.evaluate(async () => (await fetch('/text')).text())).toBe('text');
      await until(page, 'numbers.length > 20');
      expect(await statesOf(page)).toEqual(['connecting', 'open']);
    }
    await expectWhole(pages);
    expect(here.asked).toBe(1);
    await tabs(1, here, '/?url=/stream?another');
    expect(here.asked).toBe(2);
  });

  test('when the connected one closes, the next goes on: nothing lost, nothing twice', async () => {
    const here = await site();
    const pages = await tabs(TABS, here, '/?lag=100');
    for (let n = 1; n < TABS; n += 1) {
      await pages.shift()?.close();
      await eventually(() => here.asked === n + 1);
      await untilMore(...pages);
    }
    await expectWhole(pages);
    await eventually(() => here.open === 1);
    const lives = Array.from({ length: TABS }, () => ['connecting', 'open']);
    expect(await statesOf(pages[0] as Page)).toEqual(lives.flat());
  });

  test('pause and close concern one tab, drop and an early resume the connection', async () => {
    const here = await site();
    const [first, second, third] = (await tabs(3, here, '/?pauseWhenHidden=1')) as [Page, Page, Page];
    await first.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { value: 'hidden' }); // headless shows every tab
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    });
    await untilMore(third);
    await first.evaluate('tab.pause()');
    const { length } = await numbersOf(first);
    await untilMore(second, third);
    expect(await numbersOf(first)).toHaveLength(length);
    expect(await statesOf(first)).toEqual(['connecting', 'open', 'paused']);
    expect(await statesOf(third)).toEqual(['connecting', 'open', 'connecting', 'open']);
    await eventually(() => here.open === 1);

    here.mode = 'refuses';
    await third.evaluate('tab.drop()');
    for (const page of [second, third]) await until(page, 'states.at(-1) === 503');
    here.mode = 'counts';
    await third.evaluate('tab.resume()'); // before `Retry-After` is over
    await untilMore(second, third);

    await first.evaluate('tab.resume()');
    await untilMore(first);
    await second.evaluate('tab.close(), tab.pause(), tab.resume()');
    await untilMore(first, third);
    await first.evaluate('tab.pause()');
    const { held, pending } = await third.evaluate(() => navigator.locks.query());
    expect([held?.length, pending?.length]).toEqual([1, 0]);
    await first.evaluate('tab.resume()');
    await untilMore(first);
    await third.close();
    await untilMore(first);
    expect((await statesOf(second)).at(-1)).toBe('closed');
    await expectWhole([second]);
    await eventually(() => here.open === 1);
  });

  test('one that has been in the back/forward cache comes back, and does not keep the connection there', async () => {
    const [first, second] = (await tabs(2, await site())) as [Page, Page];
    const cacheAndShow = async (): Promise<void> => {
      await first.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
      await untilMore(second);
      await first.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    };
    await cacheAndShow();
    await untilMore(first);
    expect(await statesOf(second)).not.toContain('paused');
    await first.evaluate('tab.pause()');
    await cacheAndShow();
    expect((await statesOf(first)).at(-1)).toBe('paused');
    await expectWhole([second]);
  });

  test('one that comes late or back is told the status and the last messages that it has not seen', async () => {
    const here = await site();
    const [first, second] = (await tabs(2, here, '/?keep=100000&lastEventId=41&lag=100')) as [Page, Page];
    await second.evaluate('tab.pause()');
    await untilMore(first);
    await second.evaluate('tab.resume()');
    await untilMore(second);
    await expectWhole([first, second], 42);
    const [late] = (await tabs(1, here, '/?pauseAt=2')) as [Page];
    await until(late, 'states.at(-1) === "paused"');
    expect(await numbersOf(late)).toEqual([42, 43]);
  });

  test('one keeps as many messages as it is told, with or without IDs', async () => {
    const here = await site();
    here.mode = 'counts without IDs';
    const [first] = (await tabs(1, here, '/?keep=3')) as [Page];
    await untilMore(first);
    here.mode = 'is silent';
    const [late] = (await tabs(1, here)) as [Page];
    expect(await statesOf(late)).toEqual(['connecting', 'open']);
    await first.evaluate('tab.drop()');
    await until(late, 'states.length > 3');
    expect(await numbersOf(late)).toEqual((await numbersOf(first)).slice(-3));
  });

  test('new handlers hear more events, and one without an ID is no new beginning', async () => {
    const pages = (await tabs(2, await site())) as [Page, Page];
    const note = 'tab.handle({ ...handlers, note: () => (document.title = "noted") })';
    for (const page of pages) await page.evaluate(note);
    for (const page of pages) await until(page, 'document.title === "noted"');
    await pages[0].close();
    await untilMore(pages[1]);
    await expectWhole([pages[1]]);
  });

  test('the end of the stream is the end for all, and nobody asks again', async () => {
    const here = await site();
    const pages = await tabs(3, here);
    here.mode = 'ends';
    for (const page of pages) await until(page, 'states.at(-1) === "closed"');
    const late = await here.context.newPage();
    await late.goto(here.origin);
    await until(late, 'states.at(-1) === "closed"');
    expect(here.asked).toBe(2);
  });

  test.each([
    ['without Web Locks', '', 'plain.test'],
    ['in a sandbox, which grants no lock', '/?sandbox', '127.0.0.1'],
    ['with a function as URL', '/?isFunction=1', '127.0.0.1'],
  ])('%s each connects by itself', async (_where, query, host) => {
    const here = await site();
    await tabs(2, { ...here, origin: here.origin.replace('127.0.0.1', host) }, query);
    await eventually(() => here.open === 2);
  });
});

/** Opens tabs one after the other, each when the one before has got something. */
async function tabs(n: number, { context, origin }: Site, query = ''): Promise<Page[]> {
  const opened: Page[] = [];
  for (let i = 0; i < n; i += 1) {
    const page = await context.newPage();
    await page.goto(origin + query);
    await until(page, 'numbers.length > 0');
    opened.push(page);
  }
  return opened;
}

const until = (page: Page, condition: string): Promise<unknown> => page.waitForFunction(condition);

async function untilMore(...pages: Page[]): Promise<void> {
  for (const page of pages) await until(page, `numbers.length > ${10 + (await numbersOf(page)).length}`);
}

const numbersOf = (page: Page): Promise<number[]> => page.evaluate('numbers');
const statesOf = (page: Page): Promise<string[]> => page.evaluate('states');

/** Expects that these tabs have got every number once and in order, since their first. */
async function expectWhole(pages: Page[], first?: number): Promise<void> {
  for (const page of pages) {
    const numbers = await numbersOf(page);
    const start = first ?? numbers[0] ?? NaN;
    expect(numbers).toEqual(Array.from(numbers, (_, index) => start + index));
  }
}
