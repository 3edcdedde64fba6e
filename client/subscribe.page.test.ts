import { describe, expect, onTestFinished, test } from 'vitest';
import { browserPath, isBrowserMissing, launchBrowser } from '../test/support/browser.ts';
import { answer, asked, hide, pages, states, stream, untilMessages } from '../test/support/testPage.ts';
import { eventually } from '../test/support/testServer.ts';
import { STEADY_AFTER_MS } from './subscribe.ts';

describe.skipIf(isBrowserMissing())('a subscription, when the network or the page comes and goes,', () => {
  const open = pages();

  test.each(['online', 'visibilitychange'])('does not wait for the backoff at %s', async (type) => {
    const { page, requests } = await open([answer(502), stream('id: 1\ndata: a')], { fakeClock: true });
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'reconnecting');
    await page.waitForFunction(() => window.delays.length > 0);
    await page.evaluate((name) => document.dispatchEvent(new Event(name, { bubbles: true })), type);
    await untilMessages(page, 1);
    expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream', 'GET /stream']);
  });

  test('does not wait for the browser to come back either', async () => {
    const { page, requests } = await open([
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
    const { page, requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
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

  test('counts no failure for a steady stream that fell silent in sleep', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a')], {
      options: { staleAfterMs: 20_000 },
      fakeClock: true,
    });
    await untilMessages(page, 1);
    requests[0]?.socket.destroy();
    await untilMessages(page, 2);
    await page.clock.runFor(STEADY_AFTER_MS);
    await page.clock.setSystemTime(600_000); // asleep: no timer has had its turn
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    await untilMessages(page, 3);
    expect(await states(page)).toEqual(['connecting', 'open', 'reconnecting', 'open', 'connecting', 'open']);
  });

  test('comes back when the network does', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
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
    const { page, requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
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
    await eventually(() => requests[0]?.socket.destroyed);
    expect(requests.length).toBe(1);
    await page.goBack({ waitUntil: 'commit' });
    expect((await untilMessages(page, 2)).map(([, data]) => data)).toEqual(['a', 'b']);
    expect(await page.title()).toBe('restored');
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
  });

  test('is paused without a connection from pagehide to pageshow', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
    await untilMessages(page, 1);
    await page.evaluate(() => window.dispatchEvent(new Event('pagehide')));
    expect(await page.evaluate(() => window.source.status)).toEqual({ state: 'paused' });
    await eventually(() => requests[0]?.socket.destroyed);
    await page.evaluate(() => window.dispatchEvent(new Event('pageshow')));
    await untilMessages(page, 2);
    expect(await states(page)).toEqual(['connecting', 'open', 'paused', 'connecting', 'open']);
  });

  test.each([false, true])(
    'waits for Retry-After, whatever the page does, with pauseWhenHidden %s',
    async (pauseWhenHidden) => {
      const { page, requests } = await open(
        [answer(503, { 'Retry-After': '600' }), stream('id: 1\ndata: a')],
        { options: { pauseWhenHidden }, fakeClock: true },
      );
      await page.waitForFunction(() => window.delays.length > 0);
      for (let n = 1; n <= 10; n += 1) {
        await hide(page, true);
        await hide(page, false);
      }
      await page.evaluate(() => {
        for (const type of ['pagehide', 'pageshow', 'online']) window.dispatchEvent(new Event(type));
      });
      await page.clock.runFor(599_000);
      await page.evaluate(() => fetch('/a-round-trip-later'));
      expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream']);
      await page.clock.runFor(2000);
      await untilMessages(page, 1);
    },
  );

  test('ends a wait for Retry-After whose time passed while the machine slept', async () => {
    const { page } = await open([answer(503, { 'Retry-After': '600' }), stream('id: 1\ndata: a')], {
      fakeClock: true,
    });
    await page.waitForFunction(() => window.delays.length > 0);
    await page.clock.setSystemTime(700_000);
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await untilMessages(page, 1);
  });

  test('lets go while the page is hidden, if asked to', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')], {
      options: { pauseWhenHidden: true },
    });
    await untilMessages(page, 1);
    await hide(page, true);
    await page.waitForFunction(() => window.statuses.at(-1)?.state === 'paused');
    await eventually(() => requests[0]?.socket.destroyed);
    expect(requests.length).toBe(1);
    await hide(page, false);
    await untilMessages(page, 2);
    expect(requests.map(({ url }) => url)).toEqual(['/stream', '/stream?lastEventId=1']);
    expect(await states(page)).toEqual(['connecting', 'open', 'paused', 'connecting', 'open']);
  });

  test('makes no connection in a hidden page, if asked to', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a')], { begin: false });
    await hide(page, true);
    await page.evaluate(() => {
      window.begin('/stream', { pauseWhenHidden: true });
      window.source.resume();
    });
    await page.evaluate(() => fetch('/a-round-trip-later'));
    expect(requests.length).toBe(0);
    expect(await states(page)).toEqual(['paused']);
    await hide(page, false);
    await untilMessages(page, 1);
  });

  test('keeps its connection while the page is hidden, unless asked to let go', async () => {
    const { page, requests } = await open([stream('id: 1\ndata: a')]);
    await untilMessages(page, 1);
    await hide(page, true);
    await hide(page, false);
    expect(requests.length).toBe(1);
    expect(await states(page)).toEqual(['connecting', 'open']);
  });
});
