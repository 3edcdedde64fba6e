import { join } from 'node:path';
import axe from 'axe-core';
import express from 'express';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { servePage } from '../server/page.ts';
import { listen } from '../server/testServer.ts';
import { isBrowserMissing, launchBrowser } from './browser.ts';
import { startServer, type ServerProcess } from './processes.ts';
import { expectToGoOn, recordShown, shown, untilShown, upTo } from './shown.ts';

declare global {
  interface Window {
    axe: typeof axe;
    /** React's commits so far. */
    commits: number;
  }
}

describe.skipIf(isBrowserMissing())('the built page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  const servers = new Map<number, Promise<ServerProcess>>();
  afterAll(async () => {
    await browser.close();
    for (const server of servers.values()) await (await server).stop();
  });

  /** Where a server ticks that tests share, since each connection counts on its own. */
  async function ticking(tickMs: number): Promise<string> {
    const server = servers.get(tickMs) ?? startServer({ TICK_MS: String(tickMs) });
    servers.set(tickMs, server);
    return (await server).url;
  }

  /** Opens the page; errors, warnings and violations of its Content-Security-Policy are in `complaints`. */
  async function open(url: string, before = (): void => {}): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    await recordShown(page);
    await page.addInitScript(before);
    await page.goto(url);
    return { page, complaints };
  }

  test('shows 0, then 1, 2, 3, and nothing complains', async () => {
    const { page, complaints } = await open(await ticking(1000));
    await untilShown(page, 3);
    expect(await shown(page)).toEqual(upTo(3));
    expect(await page.getByRole('status').textContent()).toBe('open');
    expect(complaints).toEqual([]);
  });

  test('lists the frames as they arrived, newest first', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Pause' }).click();
    const rows = await page.getByRole('row').allInnerTexts();
    const last = rows.length - 1;
    expect(rows[0]).toBe('Id\tType\tData\tTime');
    rows.slice(1).forEach((row, i) => {
      expect(row).toMatch(new RegExp(`^${last - i}\tmessage\t${last - i}\t\\d\\d:\\d\\d:\\d\\d\\.\\d{3}$`));
    });
    expect(last).toBeGreaterThanOrEqual(3);
  });

  test('pauses, and resumes where it was', async () => {
    const { url } = await start({ TICK_MS: '100' });
    const { page } = await open(url);
    await untilShown(page, 2);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused').waitFor();
    await expect.poll(async () => (await (await fetch(`${url}/health`)).json()).connections).toBe(0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await expectToGoOn(page, 3);
  });

  test('goes on from its number when the server is killed and comes back', async () => {
    const first = await start({ TICK_MS: '100' });
    const { page } = await open(first.url);
    await untilShown(page, 5);
    await first.stop();
    await page.getByText(/^reconnecting, attempt \d+/).waitFor();
    await start({ TICK_MS: '100', PORT: new URL(first.url).port });
    await expectToGoOn(page, 10);
    expect(await page.getByRole('status').textContent()).toMatch(/^open/);
  });

  test('holds one connection, and none when it is left', async () => {
    const { url } = await start({ TICK_MS: '100' });
    const { page } = await open(url);
    await untilShown(page, 2);
    expect((await (await fetch(`${url}/health`)).json()).connections).toBe(1);
    await page.goto('about:blank');
    await expect.poll(async () => (await (await fetch(`${url}/health`)).json()).connections).toBe(0);
  });

  test('says where it went on after a reconnect, and marks the place among the frames', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Drop the connection' }).click();
    await page.getByText(/^reconnecting, attempt 1, next in 1 s$/).waitFor();
    const last = (await shown(page)).at(-1) ?? 0;
    await page.getByText(`open, went on from ${last} with nothing lost`).waitFor();
    await page.getByRole('button', { name: 'Hold to read' }).click();
    const ids = await page
      .locator('tbody tr')
      .evaluateAll((rows) => rows.map((row) => row.firstChild?.textContent));
    expect(ids.slice(ids.indexOf('reconnected') - 1).slice(0, 3)).toEqual([
      String(last + 1),
      'reconnected',
      String(last),
    ]);
    await expectToGoOn(page, 3);
    await expect.poll(() => page.getByRole('status').textContent(), { timeout: 10_000 }).toBe('open');
  });

  test('keeps fifty frames in the table, holds them to be read, and shows them as curl would', async () => {
    const { page } = await open(await ticking(10));
    await untilShown(page, 60);
    await page.getByRole('button', { name: 'Hold to read' }).click();
    const rows = await page.locator('tbody tr').allInnerTexts();
    await page.getByText('As raw text').click();
    const raw = await page.locator('pre').innerText();
    await expectToGoOn(page, 10);
    expect(rows.length).toBe(50);
    expect(await page.locator('tbody tr').allInnerTexts()).toEqual(rows);
    const ids = rows.map((row) => row.split('\t')[0]).toReversed();
    expect(raw.trimEnd()).toBe(ids.map((id) => `id: ${id}\ndata: ${id}`).join('\n\n'));
    await page.getByRole('button', { name: 'Let go' }).click();
    await expectToGoOn(page, 1);
    expect(await page.locator('tbody tr').allInnerTexts()).not.toEqual(rows);
  });

  test('plots the gap before each frame', async () => {
    const { page } = await open(await ticking(50));
    await untilShown(page, 20);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused').waitFor();
    const frames = await page.locator('tbody tr').count();
    const points = (await page.locator('polyline').getAttribute('points'))?.split(' ').length;
    expect(points).toBe(frames - 1);
    expect(await page.locator('figcaption').innerText()).toMatch(
      /^Gaps between frames: usually \d\d ms, at most \d+ ms$/,
    );
  });

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
    expect(await animation()).toMatch(/^beat-/);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    expect(await animation()).toBe('none');
  });

  test.each([
    ['light', 1120],
    ['dark', 1120],
    ['light', 320],
    ['dark', 390],
  ] as const)(
    'has nothing for axe to find, %s and %i px wide, and needs no sideways scrolling',
    async (colorScheme, width) => {
      const { page } = await open(await ticking(100));
      await page.setViewportSize({ width, height: 700 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await untilShown(page, 3);
      await page.getByRole('button', { name: 'Drop the connection' }).click();
      await page.getByText(/went on from/).waitFor();
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => window.axe.run());
      expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    },
  );

  test('reports data that is no number and takes none of it for markup', async () => {
    const evil = '<img src="x" onerror="window.broken = true">';
    const server = await listen(
      express()
        .get('/count', (_req, res) => {
          res.writeHead(200, { 'Content-Type': 'text/event-stream' });
          res.write(`id: 1\ndata: 1\n\nid: ${evil}\ndata: ${evil}\n\n`);
        })
        .use(servePage(join(import.meta.dirname, '..', 'dist'))),
    );
    const { page } = await open(`http://127.0.0.1:${server.port}`);
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
    const { page } = await open(await ticking(2));
    const session = await page.context().newCDPSession(page);
    const heapAt = async (n: number): Promise<number> => {
      await untilShown(page, n);
      // Paused, because between the collection and the look frames would leave new garbage.
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.getByText('paused').waitFor();
      await page.evaluate(() => (window.shown.length = 0)); // the test's own record
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      await page.getByRole('button', { name: 'Resume' }).click();
      return usedSize;
    };
    const early = await heapAt(1200);
    const late = await heapAt(1200 + 3600);
    expect(late / early).toBeLessThan(1.1);
  });
});

/** Starts a server that the test has for itself. */
async function start(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}
