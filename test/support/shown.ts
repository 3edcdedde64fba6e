import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { POLLING, untilShown } from './browser.ts';

declare global {
  interface Window {
    /** Every text that the page's timer has had, in order. */
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

/** What the timer has shown so far, from the first text to the one that stands there now. */
export async function shown(page: Page): Promise<number[]> {
  const texts = await page.evaluate(() => [
    ...window.shown,
    document.querySelector('[role="timer"]')?.textContent ?? '',
  ]);
  return texts.map(Number);
}

/** Waits until the text of the status matches. */
export async function untilStatus(page: Page, wanted: RegExp): Promise<void> {
  await page.waitForFunction(
    ({ source }) => new RegExp(source).test(document.querySelector('[role="status"]')?.textContent ?? ''),
    wanted,
    POLLING,
  );
}

/** The entries of the conversation, a line of text for each of their lines, without notes and times. */
export async function conversation(page: Page): Promise<string[]> {
  return page
    .locator('li')
    .evaluateAll((rows) =>
      rows.map((row) => [...row.querySelectorAll('code')].map((line) => line.textContent).join('\n')),
    );
}

/** Waits for `more` further numbers, then expects the record to be without a gap or a repeat. */
export async function expectToGoOn(page: Page, more: number): Promise<void> {
  const last = (await shown(page)).length - 1;
  await untilShown(page, last + more);
  const numbers = await shown(page);
  expect(numbers).toEqual(upTo(numbers.length - 1));
}

/** 0, 1, 2, … `last`: a record without a gap or a repeat. */
export function upTo(last: number): number[] {
  return Array.from({ length: last + 1 }, (_, n) => n);
}
