import axe from 'axe-core';
import type { Locator } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { lastEventId } from '../server/eventStream.ts';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage, serve, ticking } from './support/builtPage.ts';
import { rows, shown, untilStatus, upTo } from './support/shown.ts';
import { serverProcess } from './support/testServer.ts';

/** A number of as many digits as a count reaches in three thousand years. */
const FAR = 99_999_999_999;

const SIZES = [
  [2560, 1440],
  [1280, 800],
  [640, 400], // 1280 × 800 at 200 %
  [390, 844],
  [320, 640],
] as const;

declare global {
  interface Window {
    axe: typeof axe;
    /** What a screen reader was told of the status. */
    heard: string[];
  }
}

/** Serves the built page, and these numbers and frames: first, and to who comes back after a cut. */
function serveFrames(first: number[], again: number[], ...frames: string[]): Promise<string> {
  return serve((req, res) => {
    const numbers = lastEventId(req) === '' ? first : again;
    const all = [...numbers.map((n) => `id: ${n}\ndata: ${n}`), ...frames, ''];
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(all.join('\n\n'));
  });
}

function outline(one: Locator): Promise<string> {
  return one.evaluate((element) => getComputedStyle(element).outlineStyle);
}

describe.skipIf(isBrowserMissing())('the look of the page', () => {
  const { open } = builtPage();

  test('gives a curl line with its origin, and one without JavaScript', async () => {
    const url = await ticking(1000);
    const { page } = await open(url);
    expect(await page.getByText(/^curl/).textContent()).toBe(`curl -N ${url}/count`);
    const plain = await page.context().browser()?.newPage({ javaScriptEnabled: false });
    await plain?.goto(url);
    expect(await plain?.getByText(/^curl/).isVisible()).toBe(true);
    await plain?.close();
  });

  test('moves nothing when the number grows, the connection is lost and it is back', async () => {
    const { page } = await open(await serveFrames(upTo(12), [12345]));
    await page.setViewportSize({ width: 390, height: 844 });
    const places = (): Promise<unknown> =>
      page
        .locator('h1, [role=timer], dl, button, ul')
        .evaluateAll((all) =>
          all.map((one) => one.getBoundingClientRect().toJSON()).map(({ x, y }) => [x, y]),
        );
    const early = await places();
    await untilShown(page, 12);
    expect(await places()).toEqual(early);
    await page.getByRole('button', { name: 'Cut the connection' }).press('Enter');
    await untilStatus(page, /^No connection/);
    expect(await places()).toEqual(early);
    await untilShown(page, 12345);
    expect(await places()).toEqual(early);
  });

  test('tells screen readers once of a loss and once of the return, without the seconds', async () => {
    const server = await serverProcess({ TICK_MS: '100' });
    const { page } = await open(server.url, () => {
      window.heard = [];
      Math.random = () => 0.999;
      new MutationObserver(() => {
        const status = document.querySelector('[role="status"]')?.cloneNode(true);
        if (!(status instanceof HTMLElement)) return;
        for (const hidden of status.querySelectorAll('[aria-hidden]')) hidden.remove();
        const text = status.textContent?.trim() ?? '';
        if (text !== window.heard.at(-1)) window.heard.push(text);
      }).observe(document, { subtree: true, childList: true, characterData: true });
    });
    await untilShown(page, 3);
    await server.stop();
    await untilStatus(page, /Next attempt in 3 s/);
    await untilStatus(page, /Next attempt in 2 s/);
    await serverProcess({ TICK_MS: '100', PORT: new URL(server.url).port });
    await untilStatus(page, /^Went on/);
    const heard = await page.evaluate(() => window.heard.join(', '));
    expect(heard).toMatch(/^Connecting, Open, No connection\.(, Open)?, Went on after \d+\.$/);
  });

  test('has nothing for axe to find, no sideways scrolling, and its buttons in view, in every width and scheme', async () => {
    const url = await serveFrames(
      upTo(99),
      [FAR],
      'event: minute\ndata: 12:00',
      `data: ${'long'.repeat(99)}`,
    );
    const { page, complaints } = await open(url);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await untilShown(page, 99);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await untilStatus(page, /^Went on after 99/);
    expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
    await page.evaluate(axe.source);
    const look = async (): Promise<void> => {
      for (const [width, height] of SIZES) {
        await page.setViewportSize({ width, height });
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          const { violations } = await page.evaluate(() => window.axe.run());
          expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
        }
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
        for (const button of await page.getByRole('button').all()) {
          const { y = 0, height: its = 0 } = (await button.boundingBox()) ?? {};
          expect(y + its).toBeLessThan(height);
        }
      }
    };
    await look();
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await look();
    expect(complaints).toEqual([]);
  });

  test('shows in forced colours which number the next row goes on after, that there is no connection, and what cannot be pressed', async () => {
    const { page } = await open(await ticking(100));
    await page.emulateMedia({ forcedColors: 'active' });
    await untilShown(page, 3);
    const dimmed = (): Promise<string[]> =>
      page.evaluate(() => {
        const all = [...document.querySelectorAll('button, [role=timer]')];
        return all.filter((one) => getComputedStyle(one).opacity !== '1').map((one) => one.tagName);
      });
    expect(await dimmed()).toEqual([]);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^Paused$/);
    expect(await dimmed()).toEqual(['P', 'BUTTON']);
    expect(await outline(page.locator('code:has(b)'))).toBe('solid');
  });

  test('keeps the newest hundred of a flood, and shows text, messages without an id and markup as they came', async () => {
    const evil = '<img src="x" onerror="window.broken = true">';
    const { page } = await open(await serveFrames(upTo(1000), [], `data: ${evil}\ndata: two`));
    await page.locator('dl').getByText('two').waitFor();
    expect(await shown(page)).toEqual(upTo(1000));
    expect(await page.locator('dt').allInnerTexts()).toEqual([`data: ${evil}`, 'data: two', '']);
    expect(await rows(page)).toEqual([
      `GET /count … ${upTo(1000).slice(901).join(' ')} ${evil} two still open`,
    ]);
    expect(await page.evaluate(() => 'broken' in window)).toBe(false);
  });

  test('can be worked with the keyboard alone, and keeps the focus', async () => {
    const { page } = await open(await ticking(100), () => (Math.random = () => 0.999));
    await untilShown(page, 1);
    const press = async (key: string): Promise<string> => {
      await page.keyboard.press(key);
      const focused = page.locator(':focus');
      expect(await outline(focused)).toBe('solid');
      return focused.innerText();
    };
    expect(await press('Tab')).toBe('Cut the connection');
    expect(await press('Tab')).toBe('Pause');
    await press('Enter');
    expect(await page.locator(':focus').innerText()).toBe('Resume');
    await press('Enter');
    await untilStatus(page, /^Went on/);
    expect(await press('Shift+Tab')).toBe('Cut the connection');
    await press('Enter');
    await untilStatus(page, /^No connection/);
    expect(await page.locator(':focus').innerText()).toBe('Try now');
  });
});
