import type { RequestListener, ServerResponse } from 'node:http';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { browserPath, isBrowserMissing, launchBrowser } from '../e2e/support/browser.ts';
import { BACKOFF_CAP_MS } from './subscribe.ts';
import {
  answer,
  HEADERS,
  hide,
  pages,
  silence,
  states,
  stream,
  untilMessages,
} from '../e2e/support/testPage.ts';

describe.skipIf(isBrowserMissing())('a subscription', () => {
  const subscribe = pages();

  test('hands messages on in order, with their type, data and last event ID', async () => {
    const { page } = await subscribe([
      stream('id: 1\ndata: a', 'event: note\ndata: b\ndata: c', 'id: 3\ndata: d'),
    ]);
    expect(await untilMessages(page, 3)).toEqual([
      ['message', 'a', '1'],
      ['note', 'b\nc', '1'],
      ['message', 'd', '3'],
    ]);
    expect(await states(page)).toEqual(['connecting', 'open']);
  });

  test('leaves a cut connection to the browser, which comes back with Last-Event-ID', async () => {
    const { page, requests } = await subscribe([
      (_req, res) =>
        void res.writeHead(200, HEADERS).write('retry: 50\n\nid: 1\ndata: a\n\nid: 2\ndata: half a fra'),
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

  test.each([
    ['502', answer(502)],
    ['503', answer(503, { 'Retry-After': '1' })],
    ['204', answer(204)],
    ['another type', answer(200, { 'Content-Type': 'text/html' })],
  ])('comes back with ?lastEventId= when the browser has given up after %s', async (_what, refusal) => {
    const { page, requests } = await subscribe(
      [stream('event: note\nid: 7\ndata: a'), refusal, refusal, stream('id: 8\ndata: b')],
      {
        url: '/stream?lastEventId=3&x=1',
      },
    );
    await untilMessages(page, 1);
    requests[0]?.socket.destroy();
    expect(await untilMessages(page, 2)).toEqual([
      ['note', 'a', '7'],
      ['message', 'b', '8'],
    ]);
    expect(requests.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([
      ['/stream?lastEventId=3&x=1', undefined],
      ['/stream?lastEventId=3&x=1', '7'],
      ['/stream?lastEventId=7&x=1', undefined],
      ['/stream?lastEventId=7&x=1', undefined],
    ]);
  });

  test('keeps the last event ID through messages that carry none', async () => {
    const { page, requests } = await subscribe([
      stream('id: 7\ndata: a'),
      answer(502),
      stream('data: without'),
      answer(502),
      stream('id: 8\ndata: b'),
    ]);
    for (const n of [1, 2]) {
      await untilMessages(page, n);
      requests.at(-1)?.socket.destroy();
    }
    await untilMessages(page, 3);
    expect(requests.at(-1)?.url).toBe('/stream?lastEventId=7');
  });

  test('waits after each refusal for a random part of a time that doubles up to the cap', async () => {
    const { page, requests } = await subscribe([answer(502)], { fakeClock: true });
    for (let n = 1; n <= 6; n++) {
      await page.waitForFunction((wanted) => window.delays.length >= wanted, n);
      await page.clock.runFor(BACKOFF_CAP_MS / 10);
    }
    const longest = [1000, 2000, 4000, 5000, 5000, 5000];
    expect((await page.evaluate(() => window.delays)).slice(0, 6)).toEqual(
      longest.map((delay) => delay / 10),
    );
    expect(await page.evaluate(() => window.statuses.find((status) => 'dueAt' in status))).toMatchObject({
      attempt: 1,
    });
    expect(requests.length).toBeGreaterThanOrEqual(6);
  });

  test('replaces a connection that has been silent for too long', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      options: { staleAfterMs: 300 },
    });
    expect(await untilMessages(page, 2)).toEqual([
      ['message', 'a', '1'],
      ['message', 'b', '2'],
    ]);
    expect(requests[1]?.url).toBe('/stream?lastEventId=1');
    await vi.waitUntil(() => requests[0]?.socket.destroyed);
  });

  test('keeps a connection on which something is heard in time', async () => {
    const responses: ServerResponse[] = [];
    const play: RequestListener = (_req, res) => {
      res.writeHead(200, HEADERS).flushHeaders();
      responses.push(res);
    };
    const { page, requests } = await subscribe([play], {
      options: { staleAfterMs: 5000 },
      fakeClock: true,
    });
    for (let n = 1; n <= 3; n++) {
      await vi.waitUntil(() => responses.length === 1);
      responses[0]?.write(`id: ${n}\ndata: ${n}\n\n`);
      await untilMessages(page, n);
      await page.clock.runFor(4000);
    }
    expect(await states(page)).toEqual(['connecting', 'open']);
    expect(requests.length).toBe(1);
  });

  test('replaces a connection whose server never answers', async () => {
    const { page, requests } = await subscribe([silence, stream('id: 1\ndata: a')], {
      options: { staleAfterMs: 300 },
    });
    await untilMessages(page, 1);
    expect(requests.length).toBe(2);
  });

  test('is closed for good by the event that ends the stream', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a', 'event: end\ndata: ')], {
      options: { staleAfterMs: 100 },
      fakeClock: true,
    });
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'closed');
    await page.evaluate(() => {
      window.source.resume();
      window.dispatchEvent(new Event('online'));
    });
    await page.clock.runFor(2 * BACKOFF_CAP_MS);
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(requests.length).toBe(1);
    expect(await states(page)).toEqual(['connecting', 'open', 'closed']);
  });

  test('pauses without a connection, and resumes after the last message', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
    await untilMessages(page, 1);
    await page.evaluate(() => window.source.pause());
    await vi.waitUntil(() => requests[0]?.socket.destroyed);
    await page.evaluate(() => window.source.resume());
    await page.evaluate(() => window.source.resume());
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
    expect(await states(page)).toEqual(['connecting', 'open', 'paused', 'connecting', 'open']);
  });

  test('takes no event of the server for an outage, whatever its name', async () => {
    const { page } = await subscribe([stream('id: 1\ndata: a', 'event: error\ndata: x', 'id: 2\ndata: b')]);
    await untilMessages(page, 2);
    expect(await states(page)).toEqual(['connecting', 'open']);
  });

  test('comes back to the same address, also where the page has another base', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      url: 'stream',
    });
    await untilMessages(page, 1);
    await page.evaluate(() => window.source.drop());
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/base/stream', '/base/stream?lastEventId=1']);
  });

  test.each([
    ['connecting', stream('id: 1\ndata: a')],
    ['open', stream('id: 1\ndata: a')],
    ['reconnecting', answer(502)],
  ])('may be paused by who hears that it is %s', async (state, always) => {
    const { page, requests } = await subscribe([always], { fakeClock: true });
    await page.evaluate((heard) => {
      window.source.pause();
      window.statuses.length = 0;
      window.onStatus = (status) => status.state === heard && window.source.pause();
      window.source.resume();
    }, state);
    await page.waitForFunction(() => window.statuses.some((status) => status.state === 'paused'));
    await page.evaluate(() => fetch('/a-round-trip-later'));
    const before = requests.length;
    await page.clock.runFor(2 * BACKOFF_CAP_MS);
    await page.evaluate(() => fetch('/another-round-trip-later'));
    expect(requests.length).toBe(before);
    expect((await states(page)).at(-1)).toBe('paused');
  });

  test.each(['online', 'visibilitychange'])('does not wait for the backoff at %s', async (type) => {
    const { page, requests } = await subscribe([answer(502), stream('id: 1\ndata: a')], { fakeClock: true });
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'reconnecting');
    await page.evaluate((name) => document.dispatchEvent(new Event(name, { bubbles: true })), type);
    await untilMessages(page, 1);
    expect(requests.length).toBe(2);
  });

  test('does not wait for the browser to come back either', async () => {
    const { page, requests } = await subscribe([
      stream('retry: 60000', 'id: 1\ndata: a'),
      stream('id: 2\ndata: b'),
    ]);
    await untilMessages(page, 1);
    requests[0]?.socket.destroy();
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'reconnecting');
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
  });

  test('replaces at once what fell silent while the page slept', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      options: { staleAfterMs: 5000 },
      fakeClock: true,
    });
    await untilMessages(page, 1);
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    // As after a sleep: the clock has gone on, and no timer has had its turn.
    await page.clock.setSystemTime(60_000);
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
  });

  test('comes back when the network does', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
    await untilMessages(page, 1);
    await page.context().setOffline(true);
    requests[0]?.socket.destroy();
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'reconnecting');
    expect(requests.length).toBe(1);
    await page.context().setOffline(false);
    expect((await untilMessages(page, 2)).map(([, data]) => data)).toEqual(['a', 'b']);
  });

  test('lets go of the connection with the page, and goes on when the back/forward cache gives it back', async () => {
    const ownBrowser = await launchBrowser({
      executablePath: browserPath,
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
    onTestFinished(() => ownBrowser.close());
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      open: () => ownBrowser.newPage(),
    });
    await untilMessages(page, 1);
    await page.evaluate(() => {
      window.addEventListener(
        'pageshow',
        ({ persisted }) => (document.title = persisted ? 'restored' : 'loaded'),
      );
    });
    const origin = new URL(page.url()).origin;
    await page.goto(`${origin}/elsewhere`);
    await vi.waitUntil(() => requests[0]?.socket.destroyed);
    expect(requests.length).toBe(1);
    await page.goBack({ waitUntil: 'commit' });
    expect((await untilMessages(page, 2)).map(([, data]) => data)).toEqual(['a', 'b']);
    expect(await page.title()).toBe('restored');
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
  });

  test('lets go while the page is hidden, if asked to', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      options: { pauseWhenHidden: true },
    });
    await untilMessages(page, 1);
    await hide(page, true);
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'paused');
    await vi.waitUntil(() => requests[0]?.socket.destroyed);
    expect(requests.length).toBe(1);
    await hide(page, false);
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
    expect(await states(page)).toEqual(['connecting', 'open', 'paused', 'connecting', 'open']);
  });

  test('keeps its connection while the page is hidden, unless asked to let go', async () => {
    const { page, requests } = await subscribe([stream('id: 1\ndata: a')]);
    await untilMessages(page, 1);
    await hide(page, true);
    await hide(page, false);
    expect(requests.length).toBe(1);
    expect(await states(page)).toEqual(['connecting', 'open']);
  });
});
