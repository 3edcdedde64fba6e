import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from '../test/support/browser.ts';
import { eventually, listen } from '../test/support/testServer.ts';

describe.skipIf(isBrowserMissing())('useEventSource', () => {
  let browser: Browser;
  let shared: Page;
  let script: string;
  beforeAll(async () => {
    [browser, script] = await Promise.all([launchBrowser(), bundle('../test/support/hookPage.tsx')]);
    shared = await browser.newPage();
  });
  afterAll(() => browser.close());

  /** Opens a page with one subscriber under StrictMode; the test is its server. */
  async function mount(
    given: Window['given'] = {},
  ): Promise<{ page: Page; requests: IncomingMessage[]; open: ServerResponse[] }> {
    const requests: IncomingMessage[] = [];
    const open: ServerResponse[] = [];
    const server = await listen((req, res) => {
      if (req.url === '/') res.setHeader('Content-Type', 'text/html').end(htmlOf(given));
      else if (req.url === '/script.js') res.setHeader('Content-Type', 'text/javascript').end(script);
      else if (req.url === '/favicon.ico') res.writeHead(404).end();
      else {
        requests.push(req);
        open.push(res);
        res.once('close', () => open.splice(open.indexOf(res), 1));
        res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('retry: 50\n\n');
      }
    });
    const page = shared;
    onTestFinished(async () => void (await page.goto('about:blank')));
    await page.goto(`http://127.0.0.1:${server.port}/`);
    await untilState(page, given.enabled === false ? 'paused' : 'open');
    return { page, requests, open };
  }

  test('holds one connection under StrictMode and none after the component has gone', async () => {
    const { page, open } = await mount();
    expect(await page.evaluate(() => window.hook.mounts)).toBe(2);
    await eventually(() => open.length === 1);
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(open.filter(({ req }) => req.url === '/stream').length).toBe(1);
    await page.evaluate(() => window.hook.unmount());
    await eventually(() => !open.some(({ req }) => req.url === '/stream'));
  });

  test('calls the newest handler, and a new one makes no new connection', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    const before = requests.length;
    open[0]?.write('id: 1\ndata: a\n\n');
    await untilReceived(page, 1);
    await page.evaluate(() => {
      window.hook.label = 'second';
      window.hook.render();
    });
    open[0]?.write('id: 2\ndata: b\n\n');
    expect(await untilReceived(page, 2)).toEqual(['first:a', 'second:b']);
    expect(requests.length).toBe(before);
  });

  test('closes the old connection at another URL, and starts that stream from its beginning', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    open[0]?.write('id: 41\ndata: a\n\n');
    await untilReceived(page, 1);
    await page.evaluate(() => {
      window.hook.url = '/other-stream';
      window.hook.render();
    });
    await eventually(() => open.length === 1 && open[0]?.req.url === '/other-stream');
    expect(requests.at(-1)?.headers['last-event-id']).toBeUndefined();
    await untilState(page, 'open');
  });

  test('never gives a message of the old stream to the handlers of another URL', async () => {
    const { page, open } = await mount();
    await eventually(() => open.length === 1);
    await page.evaluate(() => {
      const old = window.hook.sources.at(-1);
      window.hook.onCommit = () => old?.dispatchEvent(new MessageEvent('message', { data: 'old' }));
      window.hook.url = '/other-stream';
      window.hook.label = 'second';
      window.hook.render();
    });
    await eventually(() => open.length === 1 && open[0]?.req.url === '/other-stream');
    open[0]?.write('data: new\n\n');
    expect(await untilReceived(page, 1)).toEqual(['second:new']);
  });

  test('never tells the onStatus of another URL what becomes of the old stream', async () => {
    const { page, open } = await mount();
    await eventually(() => open.length === 1);
    await page.evaluate(() => {
      const old = window.hook.sources.at(-1);
      window.hook.onCommit = () => old?.dispatchEvent(new MessageEvent('end'));
      window.hook.url = '/other-stream';
      window.hook.label = 'second';
      window.hook.render();
    });
    await page.waitForFunction(() => window.hook.told.includes('second:open'));
    expect((await page.evaluate(() => window.hook.told)).filter((told) => told.endsWith('closed'))).toEqual(
      [],
    );
  });

  test('calls a handler that a later render adds, on the same connection', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    const before = requests.length;
    await page.evaluate(() => {
      window.hook.extra = 'note';
      window.hook.label = 'second';
      window.hook.render();
    });
    await page.evaluate(() => fetch('/a-round-trip-later'));
    open[0]?.write('event: note\ndata: a\n\ndata: b\n\n');
    expect(await untilReceived(page, 2)).toEqual(['note:a', 'second:b']);
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/a-round-trip-later']);
  });

  test('hands resume on: it ends the wait for the next attempt', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    const before = requests.length;
    await page.evaluate(() => {
      Math.random = () => 1000; // a wait of 1,000 s
      window.hook.drop();
    });
    await untilState(page, 'reconnecting');
    await page.evaluate(() => window.hook.resume());
    await untilState(page, 'open');
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/stream']);
  });

  test('opens the stream of another URL even when the old one was paused', async () => {
    const { page, open } = await mount();
    await page.evaluate(() => window.hook.pause());
    await untilState(page, 'paused');
    await page.evaluate(() => {
      window.hook.url = '/other-stream';
      window.hook.render();
    });
    await untilState(page, 'open');
    expect(open.map(({ req }) => req.url)).toEqual(['/other-stream']);
  });

  test('keeps its connection while a Suspense boundary shows the fallback', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    const before = requests.length;
    await page.evaluate(() => {
      window.hook.pending = new Promise(() => {});
      window.hook.render();
    });
    await page.getByText('waiting').waitFor();
    open[0]?.write('data: a\n\n');
    expect(await untilReceived(page, 1)).toEqual(['first:a']);
    expect(requests.length).toBe(before);
  });

  test('lets React batch: a hundred messages that arrive at once are few renders', async () => {
    const { page, open } = await mount();
    await eventually(() => open.length === 1);
    await page.evaluate(() => (window.hook.commits.length = 0));
    open[0]?.write(hundred);
    await untilReceived(page, 100);
    await page.getByText('100', { exact: true }).waitFor();
    expect((await page.evaluate(() => window.hook.commits)).length).toBeLessThan(20);
  });

  test('renders once a message where the handler asks for it with flushSync', async () => {
    const { page, open } = await mount({ isFlushed: true });
    await eventually(() => open.length === 1);
    await page.evaluate(() => (window.hook.commits.length = 0));
    open[0]?.write(hundred);
    await untilReceived(page, 100);
    expect(await page.evaluate(() => window.hook.commits)).toEqual(numbers);
  });

  test('gives the same pause, resume and drop at every render', async () => {
    const { page } = await mount();
    await page.evaluate(() => {
      window.hook.actions.clear();
      window.hook.label = 'second';
      window.hook.render();
      window.hook.url = '/other-stream';
      window.hook.render();
    });
    await page.waitForFunction(() => window.hook.told.includes('second:open'));
    expect(await page.evaluate(() => window.hook.actions.size)).toBe(3);
  });

  test('drops the connection and comes back', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    open[0]?.write('id: 7\ndata: a\n\n');
    await untilReceived(page, 1);
    const before = requests.length;
    await page.evaluate(() => window.hook.drop());
    await eventually(() => requests.length > before); // for the backoff
    await untilState(page, 'open');
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/stream?lastEventId=7']);
  });

  test('holds no connection while it is not enabled, and keeps its place', async () => {
    const { page, requests, open } = await mount({ enabled: false });
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(requests.map(({ url }) => url)).toEqual(['/a-round-trip-later']);
    await enable(page, true);
    await untilState(page, 'open');
    const stream = await eventually(() => open.find(({ req }) => req.url === '/stream'));
    stream.write('id: 7\ndata: a\n\n');
    await untilReceived(page, 1);
    const closed = once(stream, 'close');
    await enable(page, false);
    await untilState(page, 'paused');
    await closed;
    const before = requests.length;
    await enable(page, true);
    await untilState(page, 'open');
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/stream?lastEventId=7']);
  });

  test('stays paused when it is enabled again', async () => {
    const { page, requests } = await mount();
    await page.evaluate(() => window.hook.pause());
    await untilState(page, 'paused');
    const before = requests.length;
    await enable(page, false);
    await enable(page, true);
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/a-round-trip-later']);
    await untilState(page, 'paused');
  });

  test('calls the newest function for the URL, and another function makes no new connection', async () => {
    const { page, requests, open } = await mount({ isAsked: true });
    await eventually(() => open.length === 1);
    open[0]?.write('id: 7\ndata: a\n\n');
    await untilReceived(page, 1);
    const before = requests.length;
    await page.evaluate(() => {
      window.hook.label = 'second';
      window.hook.render();
    });
    await page.evaluate(() => fetch('/a-round-trip-later'));
    await page.evaluate(() => window.hook.drop());
    await eventually(() => requests.length === before + 2);
    expect(requests.slice(before).map(({ url }) => url)).toEqual([
      '/a-round-trip-later',
      '/stream?label=second&lastEventId=7',
    ]);
  });

  test('begins after an ID that was kept elsewhere, also under StrictMode, and goes on from there', async () => {
    const { page, requests, open } = await mount({ lastEventId: '41' });
    expect(requests.at(-1)?.url).toBe('/stream?lastEventId=41');
    await eventually(() => open.length === 1);
    open[0]?.write('id: 42\ndata: a\n\n');
    await untilReceived(page, 1);
    await page.evaluate(() => window.hook.drop());
    await eventually(() => requests.at(-1)?.url === '/stream?lastEventId=42');
  });

  test('holds no connection in a hidden Activity, and goes on where it was when that is shown', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    open[0]?.write('id: 7\ndata: a\n\n');
    await untilReceived(page, 1);
    await activity(page, 'hidden');
    await eventually(() => open.length === 0);
    const before = requests.length;
    await activity(page, 'visible');
    await untilState(page, 'open');
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/stream?lastEventId=7']);
    await page.evaluate(() => window.hook.pause());
    await untilState(page, 'paused');
    await activity(page, 'hidden');
    await activity(page, 'visible');
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(requests.at(-1)?.url).toBe('/a-round-trip-later');
  });

  test('tells the newest onStatus of each change', async () => {
    const { page } = await mount();
    await page.evaluate(() => {
      window.hook.label = 'second';
      window.hook.render();
    });
    await page.evaluate(() => fetch('/a-round-trip-later'));
    await page.evaluate(() => window.hook.pause());
    await page.waitForFunction(() => window.hook.told.at(-1) === 'second:paused');
  });

  test('pauses without a connection and resumes after the last message', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    open[0]?.write('id: 7\ndata: a\n\n');
    await untilReceived(page, 1);
    const closed = open[0] && once(open[0], 'close');
    await page.evaluate(() => window.hook.pause());
    await closed;
    await untilState(page, 'paused');
    await page.evaluate(() => window.hook.resume());
    await untilState(page, 'open');
    expect(requests.at(-1)?.url).toBe('/stream?lastEventId=7');
  });

  test('stays closed when the stream has finished', async () => {
    const { page, requests, open } = await mount();
    await eventually(() => open.length === 1);
    open[0]?.end('event: end\ndata: \n\n');
    await untilState(page, 'closed');
    const before = requests.length;
    await page.evaluate(() => window.hook.pause());
    await page.evaluate(() => window.hook.resume());
    await page.evaluate(() => fetch('/after'));
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/after']);
    await untilState(page, 'closed');
  });
});

function htmlOf(given: Window['given']): string {
  return `<!doctype html><body>
    <script>Math.random = () => 0.1; window.given = ${JSON.stringify(given)};</script>
    <script type="module" src="/script.js"></script>`;
}

const numbers = Array.from({ length: 100 }, (_, i) => String(i + 1));
const hundred = numbers.map((n) => `id: ${n}\ndata: ${n}\n\n`).join('');

async function enable(page: Page, enabled: boolean): Promise<void> {
  await page.evaluate((now) => {
    window.hook.enabled = now;
    window.hook.render();
  }, enabled);
}

async function activity(page: Page, mode: 'hidden' | 'visible'): Promise<void> {
  await page.evaluate((isHidden) => {
    window.hook.isHidden = isHidden;
    window.hook.render();
  }, mode === 'hidden');
  await page.getByText('a', { exact: true }).waitFor({ state: mode });
}

async function untilState(page: Page, state: string): Promise<void> {
  await page.waitForFunction((wanted) => window.hook?.status.state === wanted, state);
}

async function untilReceived(page: Page, n: number): Promise<string[]> {
  await page.waitForFunction((wanted) => window.hook.received.length >= wanted, n);
  return page.evaluate(() => window.hook.received);
}

/** A file of this folder with all that it imports, as one script for the browser. */
async function bundle(file: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    build: { write: false, rolldownOptions: { input: join(import.meta.dirname, file) } },
  });
  const {
    output: [chunk],
  } = output as Rollup.RollupOutput;
  return chunk.code;
}
