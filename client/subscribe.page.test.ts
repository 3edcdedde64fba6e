import type { IncomingMessage, RequestListener } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answer, asked, inTurn, pageOr, stream } from '../test/support/answers.ts';
import { isBrowserMissing, launchBrowser, POLLING } from '../test/support/browser.ts';
import { eventually, listen } from '../test/support/testServer.ts';
import type { Status, SubscribeOptions, Subscription } from './subscribe.ts';

declare global {
  interface Window {
    /** Subscribes, and records what happens. `throws` are the events whose handlers throw. */
    begin: (url: string, options?: SubscribeOptions, throws?: string[]) => void;
    source: Subscription;
    statuses: Status[];
    /** Type, data and last event ID of each message that was handed on. */
    messages: [type: string, data: string, lastEventId: string][];
    /** Errors that were reported. */
    errors: string[];
  }
}

const PAGE = `<!doctype html><base href="/base/" /><title>test</title><script type="module">
  import { subscribe } from '/subscribe.js';
  Object.assign(window, { statuses: [], messages: [], errors: [] });
  window.addEventListener('error', ({ message }) => errors.push(message));
  Math.random = () => 0.1;
  window.begin = (url, options, throws = []) => {
    const take = ({ type, data, lastEventId }) => {
      messages.push([type, data, lastEventId]);
      if (throws.includes(type)) throw new Error('not ' + data);
    };
    const handlers = Object.fromEntries(['message', 'note', ...throws].map((name) => [name, take]));
    const onStatus = (status) => void statuses.push(status);
    window.source = subscribe(url, handlers, { ...options, onStatus });
  };
</script>`;

describe.skipIf(isBrowserMissing())('in a browser a subscription', () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await launchBrowser();
    page = await browser.newPage();
  });
  afterAll(() => browser.close());

  /** Opens a page whose server gives `answers` in turn. It subscribes to `url`, if there is one. */
  async function open(
    answers: RequestListener[],
    url: string | null = '/stream',
  ): Promise<{ requests: IncomingMessage[]; origin: string }> {
    const requests: IncomingMessage[] = [];
    const { port } = await listen(pageOr(PAGE, inTurn(answers, requests)));
    const origin = `http://127.0.0.1:${port}`;
    await page.goto(origin);
    if (url !== null) await page.evaluate((given) => window.begin(given), url);
    return { requests, origin };
  }

  test('leaves a cut connection to the browser, which comes back with Last-Event-ID', async () => {
    const { requests } = await open([
      (req, res) => {
        stream('id: 1\ndata: a')(req, res);
        res.write('id: 2\ndata: half a fra');
      },
      stream('id: 2\ndata: b'),
    ]);
    await untilMessages(page, 1);
    requests[0]?.socket.destroy();
    expect(await untilMessages(page, 2)).toEqual([
      ['message', 'a', '1'],
      ['message', 'b', '2'],
    ]);
    expect(requests.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([
      ['/stream', undefined],
      ['/stream', '1'],
    ]);
    expect(await page.evaluate(() => window.statuses)).toEqual([
      { state: 'connecting' },
      { state: 'open' },
      { state: 'reconnecting', attempt: 1 },
      { state: 'open' },
    ]);
  });

  test('comes back with ?lastEventId= when the browser has given up after 502 or another type', async () => {
    const html = answer(200, { 'Content-Type': 'text/html' });
    const { requests } = await open(
      [stream('event: note\nid: 7\ndata: a'), answer(502), html, stream('id: 8\ndata: b')],
      '/stream?lastEventId=3&x=1',
    );
    await untilMessages(page, 1);
    requests[0]?.socket.destroy();
    expect(await untilMessages(page, 2)).toEqual([
      ['note', 'a', '7'],
      ['message', 'b', '8'],
    ]);
    expect(asked(requests)).toEqual([
      'GET /stream?lastEventId=3&x=1',
      'GET /stream?lastEventId=3&x=1',
      'HEAD /stream?lastEventId=7&x=1',
      'GET /stream?lastEventId=7&x=1',
      'HEAD /stream?lastEventId=7&x=1',
      'GET /stream?lastEventId=7&x=1',
    ]);
    expect(requests[1]?.headers['last-event-id']).toBe('7');
  });

  test('backs off from a server that can not be reached, and sends it no HEAD', async () => {
    const { requests } = await open([(req) => void req.socket.destroy()]);
    await page.waitForFunction(() => window.statuses.some((one) => 'attempt' in one && one.attempt === 3));
    expect(new Set(asked(requests))).toEqual(new Set(['GET /stream']));
  });

  test('treats a server whose CORS forbids to ask as an outage', async () => {
    const { requests, origin } = await open([answer(401)], null);
    const elsewhere = origin.replace('127.0.0.1', 'localhost');
    await page.evaluate((url) => window.begin(url), `${elsewhere}/stream`);
    await eventually(() => requests.length >= 3);
    expect(asked(requests).slice(0, 3)).toEqual(['GET /stream', 'HEAD /stream', 'GET /stream']);
  });

  test('sends cookies to another origin, if asked to', async () => {
    const requests: IncomingMessage[] = [];
    const server = await listen((req, res) => {
      requests.push(req);
      res.setHeader('Access-Control-Allow-Origin', req.headers.origin ?? '*');
      res.setHeader('Access-Control-Allow-Credentials', 'true');
      return (req.url === '/' ? stream('data: a') : answer(401))(req, res);
    });
    await open([], null);
    await page.context().addCookies([{ name: 'session', value: 'abc', url: 'http://127.0.0.1/' }]);
    for (const [path, options, n] of [
      ['/', {}, 1],
      ['/', { withCredentials: true }, 2],
      ['/refused', { withCredentials: true }, 4],
    ] as const) {
      const url = `http://127.0.0.1:${server.port}${path}`;
      await page.evaluate((given) => window.begin(...given), [url, options] as const);
      await eventually(() => requests.length === n);
    }
    expect(requests.map(({ method, headers }) => [method, headers.cookie])).toEqual([
      ['GET', undefined],
      ['GET', 'session=abc'],
      ['GET', 'session=abc'],
      ['HEAD', 'session=abc'],
    ]);
    await page.context().clearCookies();
  });

  test.each([
    ['a relative one, in a page with another base', 'stream', '/base/stream', '?'],
    ['an empty one, which is the page itself', '', '/stream?room=5', '&'],
  ])('comes back to the same URL: %s', async (_what, url, path, mark) => {
    const { requests } = await open([stream('id: 1\ndata: a')], null);
    await page.evaluate((given) => {
      if (given === '') document.querySelector('base')?.remove();
      history.replaceState(null, '', '/stream?room=5#top');
      window.begin(given);
    }, url);
    await untilMessages(page, 1);
    await page.evaluate(() => window.source.drop());
    await untilMessages(page, 2);
    expect(asked(requests)).toEqual([`GET ${path}`, `GET ${path}${mark}lastEventId=1`]);
  });

  test('reports what a handler throws, and loses nothing else, nor the end', async () => {
    await open([stream('id: 1\ndata: a', 'id: 2\nevent: end\ndata: b')], null);
    await page.evaluate(() => window.begin('/stream', {}, ['message', 'end']));
    await untilState(page, 'closed');
    expect((await untilMessages(page, 2)).map(([type]) => type)).toEqual(['message', 'end']);
    expect(await page.evaluate(() => window.errors)).toEqual([
      'Uncaught Error: not a',
      'Uncaught Error: not b',
    ]);
  });

  test('comes back when the network does', async () => {
    const { requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
    await untilMessages(page, 1);
    await page.context().setOffline(true);
    requests[0]?.socket.destroy();
    await untilState(page, 'reconnecting');
    expect(requests.length).toBe(1);
    await page.context().setOffline(false);
    expect((await untilMessages(page, 2)).map(([, data]) => data)).toEqual(['a', 'b']);
  });
});

async function untilState(page: Page, state: string): Promise<void> {
  await page.waitForFunction((wanted) => window.statuses.at(-1)?.state === wanted, state, POLLING);
}

async function untilMessages(page: Page, n: number): Promise<Window['messages']> {
  await page.waitForFunction((wanted) => window.messages.length >= wanted, n, POLLING);
  return page.evaluate(() => window.messages);
}
