import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { POLLING, untilShown } from './browser.ts';

declare global {
  interface Window {
    /** Every number that the page's timer has had before the one that stands there now. */
    shown: string[];
  }
}

/** Has `page` keep a record of what its timer shows, from its next load on. */
export async function recordShown(page: Page): Promise<void> {
  await page.addInitScript(() => {
    window.shown = [];
    new MutationObserver((mutations) => {
      // Old values, because several changes may reach the observer at once.
      for (const { target, oldValue } of mutations) {
        if (target.parentElement?.role === 'timer') window.shown.push(oldValue ?? '');
      }
    }).observe(document, { subtree: true, characterData: true, characterDataOldValue: true });
  });
}

/** What the timer has shown so far. */
export async function shown(page: Page): Promise<number[]> {
  const texts = await page.evaluate(() => [
    ...window.shown,
    document.querySelector('[role="timer"]')?.textContent ?? '',
  ]);
  return texts.filter((text) => text !== '').map(Number);
}

/** The page's rows, the newest first, each as one line of text. */
export async function rows(page: Page): Promise<string[]> {
  const texts = await page.getByRole('listitem').allInnerTexts();
  return texts.map((text) => text.replaceAll(/\s+/g, ' '));
}

/** Waits until the text of the status matches. */
export async function untilStatus(page: Page, wanted: RegExp): Promise<void> {
  await page.waitForFunction(
    ({ source }) => new RegExp(source).test(document.querySelector('[role="status"]')?.textContent ?? ''),
    wanted,
    POLLING,
  );
}

/** Waits for `more` further numbers, then expects the record to be without a gap or a repeat. */
export async function expectToGoOn(page: Page, more: number): Promise<void> {
  const last = (await shown(page)).at(-1) ?? 0;
  await untilShown(page, last + more);
  const numbers = await shown(page);
  expect(numbers).toEqual(upTo(numbers.length));
}

/** 1, 2, … `last`: a record without a gap or a repeat. */
export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}
