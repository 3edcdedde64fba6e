import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, listen, read, startExample } from '../../test/support/examples.ts';
import { freePort } from '../../test/support/processes.ts';
import { generator } from '../../test/support/random.ts';
import { seed, times } from '../../test/support/run.ts';
import type { Reader } from '../../test/support/reader.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();

const READERS = 500;
const SECONDS = 6 * times;

test(`${READERS} readers at 20 messages a second lose none, though a tenth of them is cut each second`, async () => {
  const random = generator(seed);
  const { url } = await startExample('broadcast');
  const readers = Array.from({ length: READERS }, () => read(`${url}/quotes`));
  await eventually(() => readers.every(({ received }) => received.length > 0));
  let cuts = 0;
  for (let second = 0; second < SECONDS; second += 1) {
    await setTimeout(1000);
    for (const reader of random.shuffled(readers).slice(0, READERS / 10)) reader.cut();
    cuts += READERS / 10;
  }
  const last = Math.max(...readers.map(newest));
  await eventually(() => readers.every((reader) => newest(reader) >= last));

  let count = 0;
  for (const { received } of readers) {
    const first = Number(received[0]?.id.split('-')[1]);
    expect(received[0]?.event).toBe('snapshot');
    expect(received.slice(1).every(({ event }) => event === 'price')).toBe(true);
    expect(received.map(({ id }) => Number(id.split('-')[1]) - first)).toEqual(received.map((_, i) => i));
    count += received.length - 1;
  }
  console.log(`${READERS} readers, ${cuts} cuts, ${count} messages, none lost or twice (PROOF_SEED=${seed})`);
  expect(count).toBeGreaterThan(READERS * SECONDS * 10);
});

test.skipIf(isBrowserMissing())('a restart is noticed, also at the same numbers', async () => {
  const port = String(await freePort());
  const server = await startExample('broadcast', { PORT: port, MESSAGES_PER_SECOND: '50' });
  const received = listen(`${server.url}/quotes`, 'snapshot', 'price', 'reset');
  const page = await open(server.url);
  await page.getByRole('row').first().waitFor();
  const reader = read(`${server.url}/quotes`);
  await eventually(() => received.length > 3 && reader.received.length > 0);
  await server.stop();
  const before = received.length;
  await startExample('broadcast', { PORT: port, MESSAGES_PER_SECOND: '50' });
  await eventually(() => received.length > before + 3);
  expect(received.slice(before, before + 3).map((text) => text.split(' ')[0])).toEqual([
    'reset',
    'snapshot',
    'price',
  ]);
  const [run] = reader.received[0]?.id.split('-') ?? [];
  const other = read(`${server.url}/quotes`, `${run}-1`);
  await eventually(() => other.received.length > 0);
  expect(other.received[0]?.event).toBe('reset');
  const alert = page.getByRole('alert').filter({ hasText: 'Some prices were missed.' });
  await alert.waitFor();
  await alert.waitFor({ state: 'detached' });
});

test('an ID that the history does not reach back to gets a reset and a snapshot', async () => {
  const { url } = await startExample('broadcast', { MESSAGES_PER_SECOND: '50', HISTORY_LENGTH: '5' });
  const reader = read(`${url}/quotes`);
  await eventually(() => reader.received.length > 10);
  const [early, late] = [reader.received[1]?.id ?? '', reader.received.at(-1)?.id ?? ''];
  const run = early.split('-')[0];
  for (const id of [early, `${run}-99999`, `${run}-x`, 'x', '-1']) {
    const other = read(`${url}/quotes`, id);
    await eventually(() => other.received.length > 1);
    expect(other.received.slice(0, 2).map(({ event }) => event)).toEqual(['reset', 'snapshot']);
  }
  const next = read(`${url}/quotes`, reader.received.at(-1)?.id ?? late);
  await eventually(() => next.received.length > 0);
  expect(next.received[0]?.event).toBe('price');
});

function newest({ received }: Reader): number {
  return Number(received.at(-1)?.id.split('-')[1]);
}
