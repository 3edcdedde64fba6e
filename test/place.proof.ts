import { describe, expect, test } from 'vitest';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage, ticking } from './support/builtPage.ts';
import { rows, shown } from './support/shown.ts';

describe.skipIf(isBrowserMissing())('a tab', () => {
  const { open } = builtPage();

  test('waits for a number that takes longer than its watchdog, on one connection', async () => {
    const { page } = await open(await ticking(15_000));
    await untilShown(page, 1);
    expect(await rows(page)).toEqual(['GET /count 1 still open']);
  });

  test('keeps its place through back and forward', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 5);
    await page.goto('about:blank');
    await page.goBack();
    await page.reload();
    await untilShown(page, 8);
    const [first = 0, ...rest] = await shown(page);
    expect(first).toBeGreaterThan(5);
    expect(rest).toEqual(rest.map((_, i) => first + 1 + i));
  });
});
