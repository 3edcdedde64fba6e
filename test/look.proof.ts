import axe from 'axe-core';
import { describe, expect, test } from 'vitest';
import { lastEventId } from '../server/eventStream.ts';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage, serve, ticking } from './support/builtPage.ts';
import { conversation, untilStatus, upTo } from './support/shown.ts';
import { serverProcess } from './support/testServer.ts';

/** The largest number that the counter resumes after. */
const MOST = 2 ** 52;

declare global {
  interface Window {
    axe: typeof axe;
    /** React's commits so far. */
    commits: number;
    /** What a screen reader was told of the status. */
    heard: string[];
    /** How far the page's clock is ahead, ms. */
    skew: number;
  }
}

describe.skipIf(isBrowserMissing())('the look of the built page', () => {
  const { open } = builtPage();

  test('shows the count in its title, and has an icon', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    expect(await page.title()).toMatch(/^\d+ · SSE counter$/);
    const icon = await page.locator('link[rel=icon]').evaluate((link: HTMLLinkElement) => link.href);
    expect((await fetch(icon)).headers.get('Content-Type')).toBe('image/svg+xml');
  });

  test('gives the curl line with the origin of the page', async () => {
    const url = await ticking(1000);
    const { page } = await open(url);
    expect(await page.getByText(/^curl/).textContent()).toBe(`curl -N ${url}/count`);
  });

  test('gives a curl line without JavaScript too', async () => {
    const { page } = await open(await ticking(1000));
    const context = await page.context().browser()?.newContext({ javaScriptEnabled: false });
    const plain = await context?.newPage();
    await plain?.goto(page.url());
    expect(await plain?.getByText(/^curl/).isVisible()).toBe(true);
    await context?.close();
  });

  test('leaves the conversation where it is read, also when old entries go, and follows it at its end', async () => {
    const { page } = await open(await ticking(20));
    await untilShown(page, 90);
    const list = page.locator('ol');
    const isAtEnd = (): Promise<boolean> =>
      list.evaluate((ol) => ol.scrollHeight - ol.scrollTop - ol.clientHeight < 2);
    expect(await isAtEnd()).toBe(true);

    const read = await list.evaluate((ol) => {
      ol.scrollTop -= 200;
      const { top } = ol.getBoundingClientRect();
      const row = [...ol.children].find((one) => one.getBoundingClientRect().top > top);
      row?.setAttribute('id', 'read');
      return row?.getBoundingClientRect().top;
    });
    await untilShown(page, 130); // more than are kept
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await untilStatus(page, /^paused$/);
    const top = await page.locator('#read').evaluate((row) => row.getBoundingClientRect().top);
    expect(Math.abs(top - (read ?? 0))).toBeLessThan(2);

    await list.evaluate((ol) => ol.scrollTo(0, ol.scrollHeight));
    await page.getByRole('button', { name: 'Resume' }).press('Enter');
    await untilShown(page, 170);
    expect(await isAtEnd()).toBe(true);
    expect(await page.locator('li').count()).toBe(100);
    expect(await page.locator('.dot').count()).toBeLessThanOrEqual(100);
  });

  test('moves nothing but the number when that grows, the connection is lost or data is bad', async () => {
    const url = await serve((req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const messages = lastEventId(req) === '' ? upTo(120) : ['thirteen', MOST];
      res.write(messages.map((data, id) => `id: ${id}\ndata: ${data}\n\n`).join(''));
    });
    const { page } = await open(url);
    const places = (): Promise<number[][]> =>
      page.locator('h1, h2, .status, figure, button, code:not(li *), ol').evaluateAll((all) =>
        all.map((one) => {
          const { top, left, height } = one.getBoundingClientRect();
          return [top, left, height];
        }),
      );
    const early = await places();
    await untilShown(page, 120);
    expect(await places()).toEqual(early);
    await page.getByRole('button', { name: 'Cut the connection' }).press('Enter');
    expect(await places()).toEqual(early);
    await untilShown(page, MOST);
    expect(await page.getByRole('alert').isVisible()).toBe(true);
    expect(await places()).toEqual(early);
  });

  test('moves its line with the clock, also while no message comes', async () => {
    const { page } = await open(await ticking(60_000));
    await untilStatus(page, /^open$/);
    const { width, steps } = await page.locator('.track').evaluate(async (track) => {
      const seen: [left: number, time: number][] = [];
      await new Promise<void>((resolve) => {
        new MutationObserver(() => {
          if (seen.push([track.getBoundingClientRect().left, Date.now()]) > 1) resolve();
        }).observe(track, { attributes: true });
      });
      return { width: track.getBoundingClientRect().width, steps: seen };
    });
    const [[from, start] = [0, 0], [to, end] = [0, 0]] = steps;
    expect((from - to) / width).toBeCloseTo((end - start) / 12_000, 2);
  });

  test('breaks its line while the connection is lost, and tells screen readers once each of the loss and the return', async () => {
    const server = await serverProcess({ TICK_MS: '100' });
    const { page } = await open(server.url, () => {
      window.heard = [];
      new MutationObserver(() => {
        const status = document.querySelector('[role="status"]')?.cloneNode(true);
        if (!(status instanceof HTMLElement)) return;
        for (const hidden of status.querySelectorAll('[aria-hidden]')) hidden.remove();
        const text = status.textContent ?? '';
        if (text !== window.heard.at(-1)) window.heard.push(text);
      }).observe(document, { subtree: true, childList: true, characterData: true });
    });
    await untilShown(page, 3);
    await server.stop();
    await page.getByText(/^after \d+: [3-9] s offline$/).waitFor();
    expect(await page.locator('.window').getAttribute('data-state')).toBe('reconnecting');
    await serverProcess({ TICK_MS: '100', PORT: new URL(server.url).port });
    await untilStatus(page, /^open · resumed/);
    expect(await page.locator('.stretch .gap').innerText()).toMatch(/^\d+\.\d s offline$/);
    expect(await page.locator('.window').getAttribute('data-state')).toBe('open');
    expect(await page.evaluate(() => window.heard)).toEqual(['connecting', 'open', 'reconnecting', 'open']);
  });

  test('has nothing for axe to find and needs no sideways scrolling, in every width and colour scheme', async () => {
    const url = await serve((req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const ids = lastEventId(req) === '' ? [MOST - 2, MOST - 1] : [MOST];
      res.write(`event: minute\ndata: 12:00\n\ndata: ${'long'.repeat(99)}\n\n`);
      res.write(ids.map((id) => `id: ${id}\ndata: ${id}\n\n`).join(''));
    });
    const { page, complaints } = await open(url);
    await untilShown(page, MOST - 1);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await untilStatus(page, /resumed after \d+, nothing lost/);
    await page.evaluate(axe.source);
    for (const [width, height] of [
      [1920, 1080],
      [1280, 800],
      [390, 844],
      [320, 640],
      [280, 653],
    ] as const) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const { violations } = await page.evaluate(() => window.axe.run());
        expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      }
      const size = await page.evaluate(() => {
        const { scrollWidth, scrollHeight } = document.documentElement;
        return { width: scrollWidth, height: scrollHeight };
      });
      expect(size.width).toBe(width);
      if (width >= 1280) expect(size.height).toBe(height);
    }
    expect(complaints).toEqual([]);
  });

  test('keeps its line in forced colours, and prints the whole conversation', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 30);
    await page.emulateMedia({ forcedColors: 'active' });
    expect(
      await page
        .locator('.dot')
        .first()
        .evaluate((dot) => getComputedStyle(dot).borderTopWidth),
    ).not.toBe('0px');
    await page.emulateMedia({ media: 'print' });
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.locator('ol').evaluate((ol) => ol.scrollHeight - ol.clientHeight)).toBe(0);
    expect(await page.locator('li').first().isVisible()).toBe(true);
  });

  test('reports data that is no number until numbers have been good for a while, and takes none of it for markup', async () => {
    const evil = '<img src="x" onerror="window.broken = true">';
    const url = await serve((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write(`id: 1\ndata: 1\n\nid: ${evil}\ndata: ${evil}\n\n`);
      let n = 1;
      const timer = setInterval(() => res.write(`data: ${++n}\n\n`), 50);
      res.once('close', () => clearInterval(timer));
    });
    const { page } = await open(url, () => {
      const now = Date.now;
      window.skew = 0;
      Date.now = () => now() + window.skew;
    });
    await untilShown(page, 5);
    const alert = await page.getByRole('alert').textContent();
    expect(alert).toBe(`data: expected a number, found ${JSON.stringify(evil)}`);
    expect(await conversation(page)).toContain(`id: ${evil}\ndata: ${evil}`);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.evaluate(() => 'broken' in window)).toBe(false);
    await page.evaluate(() => (window.skew = 5000));
    await page.getByRole('alert').waitFor({ state: 'detached' });
  });

  test('says why it was refused, and can start over', async () => {
    const url = await serve((_req, res) => res.sendStatus(401));
    const { page } = await open(url);
    await untilStatus(page, /^closed · 401$/);
    expect((await conversation(page)).at(-1)).toBe('← 401');
    await page.getByRole('button', { name: 'Start over' }).click();
    await untilStatus(page, /^closed · 401$/);
  });

  test('can be worked with the keyboard alone, and keeps the focus', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 1);
    const focused = (): Promise<string> =>
      page.evaluate(() => (document.activeElement?.textContent ?? '').slice(0, 18));
    const visited: string[] = [];
    for (let i = 0; i < 4; i++) {
      await page.keyboard.press('Tab');
      visited.push(await focused());
      expect(
        await page.evaluate(
          () => document.activeElement && getComputedStyle(document.activeElement).outlineStyle,
        ),
      ).toBe('solid');
    }
    expect(visited).toEqual(['Cut the connection', 'Pause', 'Start over', '→ GET /countthe pa']);
    for (const name of ['Start over', 'Pause', 'Cut the connection']) {
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('Enter');
      if (name === 'Pause') await page.getByRole('button', { name: 'Resume' }).waitFor();
      expect(await focused()).toBe(name === 'Pause' ? 'Resume' : name);
    }
  });

  test('commits once a message', async () => {
    const { page } = await open(await ticking(10), () => {
      // What React reports its commits to when the developer tools are there.
      Object.assign(window, {
        commits: 0,
        __REACT_DEVTOOLS_GLOBAL_HOOK__: {
          supportsFiber: true,
          inject: () => 1,
          onCommitFiberRoot: () => (window.commits += 1),
          onCommitFiberUnmount() {},
        },
      });
    });
    const look = (): Promise<[commits: number, count: number]> =>
      page.evaluate(() => [window.commits, Number(document.querySelector('[role="timer"]')?.textContent)]);
    await untilShown(page, 10);
    const early = await look();
    await untilShown(page, 200);
    const late = await look();
    expect(late[0] - early[0]).toBe(late[1] - early[1]);
  });
});
