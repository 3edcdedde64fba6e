import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isRedisMissing, startRedis, type Redis } from '../../test/support/redis.ts';
import { eventually } from '../../test/support/testServer.ts';
import { openStore, type Store, type StoreOptions } from './store.ts';

let redis: Redis | undefined;
beforeAll(async () => {
  if (!isRedisMissing()) redis = await startRedis();
});
afterAll(() => redis?.stop());

/** Opens a store until the test has finished. */
async function open(kind: string, options?: StoreOptions): Promise<Store> {
  const store = await openStore(options, kind === 'Redis' ? `redis://127.0.0.1:${redis?.port}` : '');
  onTestFinished(store.close);
  await eventually(store.isReady);
  return store;
}

async function connect() {
  const client = createClient({ url: `redis://127.0.0.1:${redis?.port}` }).on('error', () => {});
  onTestFinished(() => client.destroy());
  await client.connect();
  return client;
}

/** Calls of a command so far. */
async function calls(client: Awaited<ReturnType<typeof connect>>, command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await client.info('commandstats'))?.[1]);
}

/** What a reader gets, until it leaves or the test has finished. */
function read(store: Store, topic: string, lastId = ''): { got: string[]; ids: string[]; leave: () => void } {
  const got: string[] = [];
  const ids: string[] = [];
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  onTestFinished(leave);
  const { signal } = leaving;
  const reader = {
    signal,
    ready: () => new Promise<void>((resolve) => setImmediate(resolve)),
    send(message: { event?: unknown; data: string | number; id?: string | number }): void {
      got.push(`${String(message.event)} ${message.data}`);
      if (message.id !== undefined) ids.push(String(message.id));
    },
  };
  store.follow(reader, topic, lastId).catch((error: Error) => got.push(`rejected`, error.message));
  return { got, ids, leave };
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `entry ${from + i}`);

describe.each(['memory', ...(isRedisMissing() ? [] : ['Redis'])])('a store in %s', (kind) => {
  let topic = '';
  let number = 0;
  async function append(store: Store, from: number, to: number): Promise<void> {
    for (let n = from; n <= to; n += 1) await store.append(topic, String(n));
  }
  const fresh = (): string => (topic = `${kind}-${(number += 1)}`);

  test('sends a newcomer all it keeps, and then what comes', async () => {
    const store = await open(kind);
    fresh();
    await append(store, 1, 120);
    const { got } = read(store, topic);
    await append(store, 121, 130);
    await eventually(() => got.length >= 130);
    expect(got).toEqual(numbers(1, 130));
  });

  test('resumes after any ID, while entries are appended', async () => {
    const store = await open(kind);
    fresh();
    await append(store, 1, 200);
    const all = read(store, topic);
    await eventually(() => all.ids.length === 200);
    const late = [0, 49, 99, 150, 199].map((i) => [i, read(store, topic, all.ids[i])] as const);
    await append(store, 201, 250);
    for (const [i, { got }] of late) {
      await eventually(() => got.length >= 249 - i);
      expect(got).toEqual(numbers(i + 2, 250));
    }
  });

  test('answers an ID that was trimmed, or that never was, with a reset and all it keeps', async () => {
    const store = await open(kind, { maxLength: 100 });
    fresh();
    await append(store, 1, 1);
    const early = read(store, topic);
    await eventually(() => early.ids.length === 1);
    early.leave();
    await append(store, 2, 350);
    for (const id of [early.ids[0] ?? '', 'x', '1-1', '99999999999999999999-0', '-', '$', '(1-1', '1-1 +']) {
      const { got } = read(store, topic, id);
      await eventually(() => got.at(-1) === 'entry 350');
      expect(got[0]).toBe('reset ');
      expect(got.length).toBeLessThanOrEqual(201);
      expect(got.slice(1)).toEqual(numbers(352 - got.length, 350));
    }
  });

  test('takes the first entry once, from whichever server it comes', async () => {
    const stores = [await open(kind), kind === 'Redis' ? await open(kind) : undefined];
    fresh();
    expect(await stores[0]?.has(topic)).toBe(false);
    const asked = Array.from({ length: 6 }, (_, i) =>
      (stores[i % 2] ?? stores[0])?.create(topic, 'one', 'first'),
    );
    expect((await Promise.all(asked)).filter(Boolean)).toEqual([true]);
    expect(await stores[0]?.has(topic)).toBe(true);
  });

  test('forgets a topic in time', async () => {
    const store = await open(kind, { keptMs: 300 });
    fresh();
    await append(store, 1, 1);
    await eventually(async () => !(await store.has(topic)));
  });
});

test('a store in memory forgets the topics without news when it has no room', async () => {
  const store = await open('memory');
  const text = 'x'.repeat(2 ** 20);
  for (let n = 0; n < 100; n += 1) {
    await store.append(`topic-${n}`, text);
    await store.append('live', 'x');
  }
  expect(await store.has('topic-1')).toBe(false);
  expect(await store.has('topic-99')).toBe(true);
  expect(await store.has('live')).toBe(true);
});

describe.skipIf(isRedisMissing())('a store in Redis', () => {
  test('tells its readers when the newest entry has vanished, and reads no more than once a second', async () => {
    const store = await open('Redis');
    const client = await connect();
    for (const text of ['1', '2', '3']) await store.append('deleted', text);
    const { got, ids } = read(store, 'deleted');
    await eventually(() => ids.length === 3);
    await client.xDel('deleted', ids[2] ?? '');
    await eventually(() => got.includes('reset '));
    const before = await calls(client, 'xrange');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect((await calls(client, 'xrange')) - before).toBeLessThanOrEqual(3);
    await store.append('deleted', '4');
    await eventually(() => got.at(-1) === 'entry 4');
    expect(got.slice(3)).toEqual(['reset ', 'entry 1', 'entry 2', 'entry 4']);
  });

  test('delivers IDs in nanoseconds', async () => {
    const store = await open('Redis');
    const client = await connect();
    const { got } = read(store, 'nanoseconds');
    for (const n of [1, 2, 3]) {
      await client.xAdd('nanoseconds', `176419200000000000${n}-0`, { event: 'entry', data: String(n) });
      await eventually(() => got.length === n);
    }
    expect(got).toEqual(numbers(1, 3));
  });

  test('rejects at once while Redis is down, or hangs, and tells its readers of one that comes back empty', async () => {
    const store = await open('Redis');
    await store.append('outage', '1');
    const reader = read(store, 'outage');
    await eventually(() => reader.ids.length === 1);
    redis?.process().child.kill('SIGSTOP');
    await eventually(() => !store.isReady());
    await expect(store.append('outage', '2')).rejects.toThrow();
    await eventually(() => reader.got.includes('rejected'));
    await redis?.kill();
    await expect(store.has('outage')).rejects.toThrow();
    await redis?.start('empty');
    await eventually(store.isReady);
    const back = read(store, 'outage', reader.ids[0]);
    await eventually(() => back.got.length === 1);
    expect(back.got).toEqual(['reset ']);
    await store.append('outage', '3');
    await eventually(() => back.got.length === 2);
    expect(back.got).toEqual(['reset ', 'entry 3']);
  });

  test('tells a reader that an emptied Redis has lost all, also if nothing is appended', async () => {
    const store = await open('Redis');
    const client = await connect();
    await store.append('emptied', '1');
    const { got } = read(store, 'emptied');
    await eventually(() => got.length === 1);
    await client.flushAll();
    await eventually(() => got.length === 2);
    expect(got).toEqual(['entry 1', 'reset ']);
  });
});
