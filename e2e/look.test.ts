import { join } from 'node:path';
import axe from 'axe-core';
import express, { type RequestHandler } from 'express';
import { describe, expect, test } from 'vitest';
import { lastEventId, openEventStream } from '../server/eventStream.ts';
import { servePage } from '../server/page.ts';
import { listen } from './support/testServer.ts';
import { isBrowserMissing } from './support/browser.ts';
import { builtPage } from './support/builtPage.ts';
import { untilShown } from './support/shown.ts';

declare global {
  interface Window {
    axe: typeof axe;
    /** React's commits so far. */
    commits: number;
  }
}

describe.skipIf(isBrowserMissing())('the look of the built page', () => {
  const { open, ticking } = builtPage();

  test('shows the count in its title, and has an icon', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    expect(await page.title()).toMatch(/^\d+ · SSE counter$/);
    const icon = await page.locator('link[rel=icon]').evaluate((link: HTMLLinkElement) => link.href);
    expect((await fetch(icon)).headers.get('Content-Type')).toBe('image/svg+xml');
  });

  test('copies the curl line with the origin of the page', async () => {
    const url = await ticking(1000);
    const { page } = await open(url);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByText('Copied').waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`curl -N ${url}/count`);
  });

  test('moves nothing but the number when that grows', async () => {
    const { page } = await open(await ticking(10));
    const places = (): Promise<number[]> =>
      page
        .locator('.status, button, figure, .scroll')
        .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
    await untilShown(page, 2);
    const early = await places();
    await untilShown(page, 120);
    expect(await places()).toEqual(early);
  });

  test('moves its number quietly, and not at all for those who want less motion', async () => {
    const { page } = await open(await ticking(1000));
    const animation = (): Promise<string> =>
      page.getByRole('timer').evaluate((timer) => getComputedStyle(timer).animationName);
    expect(await animation()).toBe('none');
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    expect(await animation()).toMatch(/^beat-/);
  });

  test('has nothing for axe to find and needs no sideways scrolling, in every width and colour scheme', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Drop the connection' }).click();
    await page.getByText(/went on from/).waitFor();
    await page.evaluate(axe.source);
    for (const width of [1120, 390, 320]) {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 700 });
        await page.emulateMedia({ colorScheme });
        const { violations } = await page.evaluate(() => window.axe.run());
        expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      }
    }
  });

  test('reports data that is no number and takes none of it for markup', async () => {
    const evil = '<img src="x" onerror="window.broken = true">';
    const url = await serve((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write(`id: 1\ndata: 1\n\nid: ${evil}\ndata: ${evil}\n\n`);
    });
    const { page } = await open(url);
    const alert = await page.getByRole('alert').textContent();
    expect(alert).toBe(`Expected a number, found ${JSON.stringify(evil)}`);
    expect(await page.getByRole('timer').textContent()).toBe('1');
    expect(await page.getByRole('cell', { name: evil }).count()).toBe(2);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.evaluate(() => 'broken' in window)).toBe(false);
  });

  test('can be worked with the keyboard alone', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 1);
    const visited: string[] = [];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab');
      visited.push(await page.evaluate(() => document.activeElement?.textContent?.slice(0, 19) ?? ''));
      expect(
        await page.evaluate(
          () => document.activeElement && getComputedStyle(document.activeElement).outlineStyle,
        ),
      ).toBe('solid');
    }
    expect(visited.slice(0, 4)).toEqual(['Pause', 'Drop the connection', 'Copy', 'Hold to read']);
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await page.getByText('paused').waitFor();
  });

  test('commits once a frame', async () => {
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

  test('has a steady heap after an hour of frames', async () => {
    // Twenty at a time, for the page alone is looked at: on its way each frame for itself costs twice as much.
    const url = await serve((req, res) =>
      openEventStream(req, res, (stream) => {
        let n = Number(lastEventId(req));
        const timer = setInterval(() => {
          for (let i = 0; i < 20; i++) stream.send({ id: ++n, data: n });
        }, 20);
        return () => clearInterval(timer);
      }),
    );
    const { page } = await open(url);
    const session = await page.context().newCDPSession(page);
    await page.setViewportSize({ width: 10, height: 10 }); // an hour's pictures are not the point here
    const heapAt = async (n: number): Promise<number> => {
      await untilShown(page, n);
      // Paused, because between the collection and the look frames would leave new garbage.
      await page.getByRole('button', { name: 'Pause' }).press('Enter');
      await page.getByText('paused').waitFor({ state: 'attached' });
      await page.evaluate(() => (window.shown.length = 0)); // the test's own record
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      await page.getByRole('button', { name: 'Resume' }).press('Enter');
      return usedSize;
    };
    const early = await heapAt(1200);
    const late = await heapAt(1200 + 3600);
    expect(late / early).toBeLessThan(1.1);
  });
});

/** Serves the built page with another stream at `/count`. */
async function serve(answer: RequestHandler): Promise<string> {
  const page = servePage(join(import.meta.dirname, '..', 'dist'));
  const { port } = await listen(express().get('/count', answer).use(page));
  return `http://127.0.0.1:${port}`;
}
