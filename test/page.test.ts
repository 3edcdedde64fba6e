import { describe, expect, test } from 'vitest';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage, serve, ticking } from './support/builtPage.ts';
import { expectToGoOn, rows, shown, untilStatus, upTo } from './support/shown.ts';
import { eventually, serverProcess } from './support/testServer.ts';

describe.skipIf(isBrowserMissing())('the built page', () => {
  const { open } = builtPage();

  test('shows 1, 2, 3, the latest message with a word on each line, and nothing complains', async () => {
    const frames = upTo(3).map((n) => `id: ${n}\ndata: ${n}\n\n`);
    const url = await serve((_req, res) => void res.type('text/event-stream').write(frames.join('')));
    const { page, complaints } = await open(url);
    await untilShown(page, 3);
    expect(await shown(page)).toEqual([1, 2, 3]);
    expect(await page.getByRole('status').textContent()).toBe('Open');
    expect(await page.locator('dl').innerText()).toMatch(
      /^id: 3\s+the place to go on after a cut\s+data: 3\s+what you see\s+a blank line ends it$/,
    );
    expect(await rows(page)).toEqual(['GET /count 1 2 3 still open']);
    expect(complaints).toEqual([]);
  });

  test('shows after a cut that the last number of one row is where the next row goes on', async () => {
    const { page } = await open(await ticking(200));
    await untilShown(page, 3);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await untilStatus(page, /^Went on after \d+\.$/);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^Paused$/);
    const last = (await shown(page)).at(-1) ?? 0;
    const cut = Number(await page.locator('li:last-of-type b').innerText());
    expect(cut).toBeGreaterThanOrEqual(3);
    expect(await rows(page)).toEqual([
      `GET /count last event ID: ${cut} ${upTo(last).slice(cut).join(' ')} paused`,
      `GET /count ${upTo(cut).join(' ')} cut here`,
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
    await eventually(async () => (await connections()) === 0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await expectToGoOn(page, 3);
    await page.goto('about:blank');
    await eventually(async () => (await connections()) === 0);
  });

  test('says that the server is down, and goes on from its number when that is back', async () => {
    const first = await serverProcess({ TICK_MS: '100' });
    const { page } = await open(first.url);
    await untilShown(page, 5);
    await first.stop();
    await untilStatus(page, /^No connection\. Next attempt in \d+ s, to go on after \d+\.$/);
    expect(await page.getByRole('status').getAttribute('data-state')).toBe('reconnecting');
    expect(await rows(page)).toEqual([expect.stringMatching(/^GET \/count 1 2 3 4 5 .*connection lost$/)]);
    await serverProcess({ TICK_MS: '100', PORT: new URL(first.url).port });
    await expectToGoOn(page, 10);
    await untilStatus(page, /^Went on after \d+\.$/);
  });

  test('shows no number, says what the server answers, tries again at once when it is told to, and takes a refusal for final', async () => {
    let status = 503;
    const url = await serve((_req, res) => res.set('Retry-After', '600').sendStatus(status));
    const { page } = await open(url);
    await untilStatus(page, /^No connection\. Next attempt in \d{3} s\. The server answered 503\.$/);
    expect(await page.getByRole('timer').textContent()).toBe('');
    status = 401;
    await page.getByRole('button', { name: 'Try now' }).click();
    await untilStatus(page, /^Closed\. The server answered 401\.$/);
    for (const button of await page.getByRole('button').all()) expect(await button.isDisabled()).toBe(true);
    expect(await rows(page)).toEqual([]);
  });

  test('goes on after the last id in a reload, and starts at 1 in a new tab and where storage is blocked', async () => {
    const url = await ticking(100);
    const { page } = await open(url);
    await untilShown(page, 5);
    await page.reload();
    await untilShown(page, 8);
    const [first = 0, ...rest] = await shown(page);
    expect(first).toBeGreaterThan(5);
    expect(rest).toEqual(rest.map((_, i) => first + 1 + i));
    expect((await rows(page))[0]).toContain(`GET /count last event ID: ${first - 1} ${first}`);
    for (const before of [() => {}, block]) {
      const { page: other } = await open(url, before);
      await untilShown(other, 3);
      await other.reload();
      await untilShown(other, 3);
      expect((await shown(other))[0] === 1).toBe(before === block);
    }
  });
});

/** Blocks storage, as browsers do where cookies are refused. */
function block(): void {
  Object.defineProperty(window, 'sessionStorage', {
    get: () => {
      throw new DOMException('blocked', 'SecurityError');
    },
  });
}
