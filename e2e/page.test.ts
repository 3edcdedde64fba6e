import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser } from './browser.ts';
import { startServer, type ServerProcess } from './processes.ts';
import { expectToGoOn, recordShown, shown, untilShown, upTo } from './shown.ts';

describe.skipIf(isBrowserMissing())('the built page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  /** Opens the page; errors, warnings and violations of its Content-Security-Policy are in `complaints`. */
  async function open(url: string): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    await recordShown(page);
    await page.goto(url);
    return { page, complaints };
  }

  test('shows 0, then 1, 2, 3, and nothing complains', async () => {
    const { page, complaints } = await open((await start()).url);
    await untilShown(page, 3);
    expect(await shown(page)).toEqual(upTo(3));
    expect(await page.getByRole('status').textContent()).toBe('open');
    expect(complaints).toEqual([]);
  });

  test('lists the frames as they arrived, newest first', async () => {
    const { page } = await open((await start({ TICK_MS: '100' })).url);
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
    expect(await page.getByRole('status').textContent()).toBe('open');
  });

  test('holds one connection, and none when it is left', async () => {
    const { url } = await start({ TICK_MS: '100' });
    const { page } = await open(url);
    await untilShown(page, 2);
    expect((await (await fetch(`${url}/health`)).json()).connections).toBe(1);
    await page.goto('about:blank');
    await expect.poll(async () => (await (await fetch(`${url}/health`)).json()).connections).toBe(0);
  });
});

async function start(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}
