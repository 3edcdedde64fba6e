import { describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage } from './support/builtPage.ts';
import { startServer, type ServerProcess } from './support/processes.ts';
import { conversation, expectToGoOn, shown, untilStatus, upTo } from './support/shown.ts';
import { eventually } from './support/testServer.ts';

const ANSWER = '← 200\nContent-Type: text/event-stream';

describe.skipIf(isBrowserMissing())('the built page', () => {
  const { open, ticking } = builtPage();

  test('shows 0, then 1, 2, 3, and nothing complains', async () => {
    const { page, complaints } = await open(await ticking(1000));
    await untilShown(page, 3);
    expect(await shown(page)).toEqual(upTo(3));
    expect(await page.getByRole('status').textContent()).toBe('open');
    expect(complaints).toEqual([]);
  });

  test('tells the conversation: the request, its answer, and each message with its fields', async () => {
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
  });

  test('explains the first of each kind alone', async () => {
    const { page } = await open(await ticking(100));
    await untilShown(page, 3);
    expect(await page.locator('li small').allInnerTexts()).toEqual([
      'the page asks once',
      'an answer without an end',
      'the page keeps it as its place',
      'what the page shows',
      'a blank line ends the message',
    ]);
  });

  test('pauses, and resumes where it was', async () => {
    const { url } = await start({ TICK_MS: '100' });
    const { page } = await open(url);
    await untilShown(page, 2);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^paused$/);
    await eventually(async () => (await (await fetch(`${url}/health`)).json()).connections === 0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await expectToGoOn(page, 3);
  });

  test('goes on from its number when the server is killed and comes back', async () => {
    const first = await start({ TICK_MS: '100' });
    const { page } = await open(first.url);
    await untilShown(page, 5);
    await first.stop();
    await untilStatus(page, /^reconnecting · /);
    await start({ TICK_MS: '100', PORT: new URL(first.url).port });
    await expectToGoOn(page, 10);
    await untilStatus(page, /^open · resumed after \d+, nothing lost$/);
  });

  test('holds one connection, and none when it is left', async () => {
    const { url } = await start({ TICK_MS: '100' });
    const { page } = await open(url);
    await untilShown(page, 2);
    expect((await (await fetch(`${url}/health`)).json()).connections).toBe(1);
    await page.goto('about:blank');
    await eventually(async () => (await (await fetch(`${url}/health`)).json()).connections === 0);
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
  });

  test('keeps the last hundred entries', async () => {
    const { page } = await open(await ticking(10));
    await untilShown(page, 150);
    expect(await page.locator('li').count()).toBe(100);
    expect(await page.locator('.dot').count()).toBeLessThanOrEqual(100);
  });
});

/** Starts a server that the test has for itself. */
async function start(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}
