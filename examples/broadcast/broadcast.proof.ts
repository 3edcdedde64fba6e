import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, read, startExample } from '../../test/support/examples.ts';
import { generator } from '../../test/support/random.ts';
import { seed, times } from '../../test/support/run.ts';
import type { Reader } from '../../test/support/reader.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();

const READERS = 200;
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
    expect(events({ received })).toEqual(received.map((_, i) => (i === 0 ? 'snapshot' : 'price')));
    expect(received.map(({ id }) => Number(id.split('-')[1]) - first)).toEqual(received.map((_, i) => i));
    count += received.length - 1;
  }
  console.log(`${READERS} readers, ${cuts} cuts, ${count} messages, none lost or twice (PROOF_SEED=${seed})`);
  expect(count).toBeGreaterThan(READERS * SECONDS * 10);
});

test.skipIf(isBrowserMissing())('a restart is noticed, and told for a while', async () => {
  const { url, port, stop } = await startExample('broadcast');
  const page = await open(url);
  await page.getByRole('row').first().waitFor();
  const { received } = read(`${url}/quotes`);
  await eventually(() => received.length > 3);
  await stop();
  const { length } = received;
  await startExample('broadcast', { PORT: String(port) });
  await eventually(() => received.length > length + 2);
  expect(events({ received }).slice(length, length + 3)).toEqual(['reset', 'snapshot', 'price']);
  const alert = page.getByRole('alert').filter({ hasText: 'Some prices were missed.' });
  await alert.waitFor();
  await alert.waitFor({ state: 'detached' });
});

test('an ID that the history does not reach back to gets a reset and a snapshot', async () => {
  const { url } = await startExample('broadcast', { MESSAGES_PER_SECOND: '50', HISTORY_LENGTH: '5' });
  const reader = read(`${url}/quotes`);
  await eventually(() => reader.received.length > 10);
  const early = reader.received[1]?.id ?? '';
  const [run] = early.split('-');
  for (const id of [early, `${run}-99999`, `${run}-x`, 'otherrun-11', 'x', '-1']) {
    const other = read(`${url}/quotes`, id);
    await eventually(() => other.received.length > 1);
    expect(events(other).slice(0, 2)).toEqual(['reset', 'snapshot']);
  }
  const next = read(`${url}/quotes`, reader.received.at(-1)?.id);
  await eventually(() => next.received.length > 0);
  expect(events(next)[0]).toBe('price');
});

function events({ received }: Pick<Reader, 'received'>): string[] {
  return received.map(({ event }) => event);
}

function newest({ received }: Reader): number {
  return Number(received.at(-1)?.id.split('-')[1]);
}
