import { describe, expect, test } from 'vitest';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { ANSWER, builtPage, ticking } from './support/builtPage.ts';
import { conversation, shown, untilStatus } from './support/shown.ts';
import { eventually } from './support/testServer.ts';

describe.skipIf(isBrowserMissing())('a tab', () => {
  const { open } = builtPage();

  test('waits for a number that takes longer than its watchdog, on one connection', async () => {
    const { page } = await open(await ticking(15_000));
    await untilShown(page, 1);
    expect(await page.getByRole('status').textContent()).toBe('open');
    expect((await conversation(page)).filter((entry) => entry.startsWith('→'))).toHaveLength(1);
  });

  test('keeps its place through a reload, and through back and forward', async () => {
    const url = await ticking(100);
    const { page } = await open(url);
    await untilShown(page, 5);
    await page.reload();
    await page.goto('about:blank');
    await page.goBack();
    await page.reload();
    const [first = 0] = await shown(page);
    expect(first).toBeGreaterThanOrEqual(5);
    await untilShown(page, first + 3);
    const numbers = await shown(page);
    expect(numbers).toEqual(numbers.map((_, i) => first + i));
    expect((await conversation(page))[0]).toBe(
      `→ GET /count?lastEventId=${first}\nAccept: text/event-stream`,
    );
    await untilStatus(page, new RegExp(`^open · resumed after ${first}, nothing lost$`));
  });

  test('starts at 1 in a new tab, and when it is told to start over', async () => {
    const url = await ticking(100);
    const { page } = await open(url);
    await untilShown(page, 5);
    const { page: other } = await open(url);
    await untilShown(other, 2);
    expect((await shown(other)).slice(0, 3)).toEqual([0, 1, 2]);

    await page.getByRole('button', { name: 'Start over' }).click();
    await page.waitForFunction(() => window.shown.lastIndexOf('0') > 0);
    const record = async (): Promise<number[]> => {
      const numbers = await shown(page);
      return numbers.slice(numbers.lastIndexOf(0));
    };
    await eventually(async () => (await record()).length > 3);
    expect((await record()).slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect((await conversation(page)).slice(0, 2)).toEqual([
      '→ GET /count\nAccept: text/event-stream',
      ANSWER,
    ]);
    await page.reload();
    expect((await shown(page))[0]).toBeGreaterThanOrEqual(3);
  });
});
