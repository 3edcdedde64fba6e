import { describe, expect, test } from 'vitest';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { ANSWER, builtPage, ticking } from './support/builtPage.ts';
import { conversation, expectToGoOn, shown, untilStatus, upTo } from './support/shown.ts';
import { eventually, serverProcess } from './support/testServer.ts';

describe.skipIf(isBrowserMissing())('the built page', () => {
  const { open } = builtPage();

  test('shows 0, then 1, 2, 3, and nothing complains', async () => {
    const { page, complaints } = await open(await ticking(1000));
    await untilShown(page, 3);
    expect(await shown(page)).toEqual(upTo(3));
    expect(await page.getByRole('status').textContent()).toBe('open');
    expect(complaints).toEqual([]);
  });

  test('tells the conversation: the request, its answer, each message with its fields, and notes', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^paused$/);
    const last = (await shown(page)).at(-1) ?? 0;
    expect(await conversation(page)).toEqual([
      '→ GET /count\nAccept: text/event-stream',
      ANSWER,
      ...upTo(last)
        .slice(1)
        // The first of them is followed by the blank line that ends it.
        .map((n) => `id: ${n}\ndata: ${n}${n === 1 ? '\n' : ''}`),
      '✂ closed by the page',
    ]);
    expect(await page.locator('li small').allInnerTexts()).toEqual([
      'the page asks once',
      'an answer without an end',
      'the page keeps it as its place',
      'what the page shows',
      'a blank line ends the message',
      'a pause needs no connection',
    ]);
  });

  test('holds one connection, none in a pause, after which it resumes where it was, and none when it is left', async () => {
    const url = await ticking(100);
    const connections = async (): Promise<number> =>
      (await (await fetch(`${url}/health`)).json()).connections;
    const { page } = await open(url);
    await untilShown(page, 2);
    expect(await connections()).toBe(1);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^paused$/);
    await eventually(async () => (await connections()) === 0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await expectToGoOn(page, 3);
    await page.goto('about:blank');
    await eventually(async () => (await connections()) === 0);
  });

  test('goes on from its number when the server is killed and comes back', async () => {
    const first = await serverProcess({ TICK_MS: '100' });
    const { page } = await open(first.url);
    await untilShown(page, 5);
    await first.stop();
    await untilStatus(page, /^reconnecting · /);
    await serverProcess({ TICK_MS: '100', PORT: new URL(first.url).port });
    await expectToGoOn(page, 10);
    await untilStatus(page, /^open · resumed after \d+, nothing lost$/);
  });

  test('says after a cut where it resumed, in words, in the conversation and on the line', async () => {
    const { page } = await open(await ticking(100), () => (Math.random = () => 0.5)); // half a second
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await untilStatus(page, /^reconnecting · next attempt in 1 s$/);
    const last = (await shown(page)).at(-1) ?? 0;
    expect(await page.locator('.gap').innerText()).toMatch(new RegExp(`^after ${last}: \\d s offline$`));
    await untilStatus(page, new RegExp(`^open · resumed after ${last}, nothing lost$`));
    await page.getByRole('button', { name: 'Pause' }).click();

    const told = await conversation(page);
    const cut = told.indexOf('✂ connection lost');
    expect(told.slice(cut - 1, cut + 4)).toEqual([
      `id: ${last}\ndata: ${last}`,
      '✂ connection lost',
      `→ GET /count?lastEventId=${last}\nAccept: text/event-stream`,
      ANSWER,
      `id: ${last + 1}\ndata: ${last + 1}`,
    ]);
    expect(await page.locator('.stretch .gap').innerText()).toMatch(/^\d\.\d s offline$/);
    const ids = page.locator('.id');
    expect((await ids.allInnerTexts()).slice(0, 2)).toEqual([String(last), String(last + 1)]);
    await page.getByRole('button', { name: 'Resume' }).click();
    await expectToGoOn(page, 3);
  });
});
