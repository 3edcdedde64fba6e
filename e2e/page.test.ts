import { describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing } from './support/browser.ts';
import { builtPage } from './support/builtPage.ts';
import { startServer, type ServerProcess } from './support/processes.ts';
import { expectToGoOn, shown, untilShown, upTo } from './support/shown.ts';

describe.skipIf(isBrowserMissing())('the built page', () => {
  const { open, ticking } = builtPage();

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
    const { page } = await open(await ticking(100), () => (Math.random = () => 0.5)); // half a second of backoff
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
});

/** Starts a server that the test has for itself. */
async function start(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}
