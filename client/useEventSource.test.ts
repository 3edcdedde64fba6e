import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pageOr } from '../test/support/answers.ts';
import { isBrowserMissing, launchBrowser, POLLING } from '../test/support/browser.ts';
import { eventually } from '../test/support/testServer.ts';

type Hook = Window['hook'];

const PAGE = '<!doctype html><body></body><script type="module" src="/hook.js"></script>';

const NUMBERS = Array.from({ length: 100 }, (_, i) => String(i + 1));
const HUNDRED = NUMBERS.map((n) => `id: ${n}\ndata: ${n}\n\n`).join('');

describe.skipIf(isBrowserMissing())('useEventSource', () => {
  let browser: Browser;
  let page: Page;
  let requests: IncomingMessage[] = [];
  let streams: ServerResponse[] = [];
  let server: Server;
  const errors: Error[] = [];
  afterEach(() => expect(errors.splice(0)).toEqual([]));
  beforeAll(async () => {
    server = createServer(pageOr(PAGE, answer)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    browser = await launchBrowser();
    page = await browser.newPage();
    page.on('pageerror', (error) => errors.push(error));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });

  function answer(req: IncomingMessage, res: ServerResponse): void {
    requests.push(req);
    if (req.url === '/settle') return void res.end();
    const open = streams;
    open.push(res);
    res.once('close', () => open.splice(open.indexOf(res), 1));
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('retry: 50\n\n');
  }

  /** Mounts one subscriber under StrictMode, and forgets what was asked so far. The test is its server. */
  async function mount(given: Partial<Hook> = {}): Promise<void> {
    await page.evaluate(() => window.hook?.unmount());
    await settle();
    [requests, streams] = [[], []];
    await page.evaluate((values) => window.mount(values), given);
    await until(given.enabled === false ? 'paused' : 'open');
    await settle();
    await eventually(() => streams.length === (given.enabled === false ? 0 : 1)); // StrictMode's first one has gone
    requests.length = 0;
  }

  /** Renders with other values. */
  async function render(given: Partial<Hook>): Promise<void> {
    await page.evaluate((values) => {
      Object.assign(window.hook, values);
      window.hook.render();
    }, given);
  }

  async function act(name: 'pause' | 'resume' | 'drop' | 'unmount'): Promise<void> {
    await page.evaluate((given) => window.hook[given](), name);
  }

  function send(text: string): void {
    streams[0]?.write(text);
  }

  /** Sends a message that has an ID, and waits until it has been handled. */
  async function sendOne(id: number): Promise<void> {
    send(`id: ${id}\ndata: a\n\n`);
    await received(1);
  }

  async function until(state: string): Promise<void> {
    await page.waitForFunction((wanted) => window.hook?.status.state === wanted, state, POLLING);
  }

  async function received(n: number): Promise<string[]> {
    await page.waitForFunction((wanted) => window.hook.received.length >= wanted, n, POLLING);
    return page.evaluate(() => window.hook.received);
  }

  /** A round trip later, what the page asked for has arrived. */
  async function settle(): Promise<void> {
    await page.evaluate(() => fetch('/settle'));
  }

  /** The URLs that were asked for since the page was mounted. */
  async function asked(): Promise<(string | undefined)[]> {
    await settle();
    return requests.map(({ url }) => url).filter((url) => url !== '/settle');
  }

  test('holds one connection under StrictMode and none after the component has gone', async () => {
    await mount();
    expect(await page.evaluate(() => window.hook.mounts)).toBe(2);
    expect(streams.map(({ req }) => req.url)).toEqual(['/stream']);
    await act('unmount');
    await eventually(() => streams.length === 0);
  });

  test('calls the newest handlers and onStatus, also a handler that a later render adds, on the same connection', async () => {
    await mount();
    await sendOne(1);
    await render({ extra: 'note', label: 'second' });
    await settle();
    send('event: note\ndata: b\n\ndata: c\n\n');
    expect(await received(3)).toEqual(['first:a', 'note:b', 'second:c']);
    expect(await asked()).toEqual([]);
    await act('pause');
    await page.waitForFunction(() => window.hook.told.at(-1) === 'second:paused');
  });

  test.each(['message', 'end'])(
    'hands no %s of the old stream on to another URL, which starts at its beginning',
    async (type) => {
      await mount();
      await sendOne(41);
      await page.evaluate((name) => {
        const old = window.hook.sources.at(-1);
        window.hook.onCommit = () => old?.dispatchEvent(new MessageEvent(name, { data: 'old' }));
      }, type);
      await render({ url: '/other', label: 'second' });
      await eventually(() => streams.length === 1 && streams[0]?.req.url === '/other');
      send('data: new\n\n');
      expect(await received(2)).toEqual(['first:a', 'second:new']);
      expect((await page.evaluate(() => window.hook.told)).join()).not.toContain('closed');
    },
  );

  test('opens the stream of another URL even when the old one was paused', async () => {
    await mount();
    await act('pause');
    await until('paused');
    await render({ url: '/other' });
    await until('open');
    expect(streams.map(({ req }) => req.url)).toEqual(['/other']);
    await act('drop');
    await page.waitForFunction(() => window.hook.told.includes('first:reconnecting'));
    await render({ url: '/third', enabled: false });
    await until('paused');
  });

  test('hands resume on: it ends the wait for the next attempt', async () => {
    await mount();
    await page.evaluate(() => {
      Math.random = () => 1000; // a wait of 1,000 s
      window.hook.drop();
    });
    await until('reconnecting');
    await act('resume');
    await until('open');
    expect(await asked()).toEqual(['/stream']);
  });

  test('keeps its connection while a Suspense boundary shows the fallback', async () => {
    await mount();
    await page.evaluate(() => {
      window.hook.pending = new Promise(() => {});
      window.hook.render();
    });
    await page.getByText('waiting').waitFor();
    send('data: a\n\n');
    expect(await received(1)).toEqual(['first:a']);
    expect(await asked()).toEqual([]);
  });

  test.each([
    ['lets React batch: a hundred messages that arrive at once are few renders', false],
    ['renders once a message where the handler asks for it with flushSync', true],
  ])('%s', async (_title, isFlushed) => {
    await mount({ isFlushed });
    await page.evaluate(() => (window.hook.commits.length = 0));
    send(HUNDRED);
    await received(100);
    await page.getByText('100', { exact: true }).waitFor();
    const commits = await page.evaluate(() => window.hook.commits);
    if (isFlushed) expect(commits).toEqual(NUMBERS);
    else expect(commits.length).toBeLessThan(20);
  });

  test('gives the same pause, resume and drop at every render', async () => {
    await mount();
    await page.evaluate(() => window.hook.actions.clear());
    await render({ label: 'second' });
    await render({ url: '/other' });
    await page.waitForFunction(() => window.hook.told.includes('second:open'));
    expect(await page.evaluate(() => window.hook.actions.size)).toBe(3);
  });

  test.each(['drop', 'pause'] as const)('comes back after the last message from %s', async (how) => {
    await mount();
    await sendOne(7);
    const closed = once(streams[0] ?? expect.unreachable(), 'close');
    await act(how);
    await closed;
    if (how === 'pause') {
      await until('paused');
      await act('resume');
    }
    await eventually(() => streams.length === 1);
    await until('open');
    expect(await asked()).toEqual(['/stream?lastEventId=7']);
  });

  test('holds no connection before it is enabled', async () => {
    await mount({ enabled: false });
    expect(await asked()).toEqual([]);
    await render({ enabled: true });
    await until('open');
  });

  test.each([{ enabled: false }, { isHidden: true }])(
    'holds no connection while rendered with %j, and goes on where it was',
    async (gone) => {
      await mount();
      await sendOne(7);
      await render(gone);
      await eventually(() => streams.length === 0);
      await render({ enabled: true, isHidden: false });
      await eventually(() => streams.length === 1);
      expect(await asked()).toEqual(['/stream?lastEventId=7']);
    },
  );

  test.each([{ enabled: false }, { isHidden: true }])(
    'stays paused when it comes back from %j',
    async (gone) => {
      await mount();
      await act('pause');
      await until('paused');
      await render(gone);
      await render({ enabled: true, isHidden: false });
      expect(await asked()).toEqual([]);
      await until('paused');
    },
  );

  test('calls the newest function for the URL, and another function makes no new connection', async () => {
    await mount({ isAsked: true });
    await sendOne(7);
    await render({ label: 'second' });
    expect(await asked()).toEqual([]);
    await act('drop');
    await eventually(async () => (await asked()).length > 0);
    expect(await asked()).toEqual(['/stream?label=second&lastEventId=7']);
  });

  test('begins after an ID that was kept elsewhere, also under StrictMode, and goes on from there', async () => {
    await mount({ lastEventId: '41' });
    expect(streams[0]?.req.url).toBe('/stream?lastEventId=41');
    await sendOne(42);
    await act('drop');
    await eventually(async () => (await asked()).length > 0);
    expect(await asked()).toEqual(['/stream?lastEventId=42']);
  });

  test('stays closed when the stream has finished', async () => {
    await mount();
    streams[0]?.end('event: end\ndata: \n\n');
    await until('closed');
    await act('pause');
    await act('resume');
    expect(await asked()).toEqual([]);
    await until('closed');
  });
});
