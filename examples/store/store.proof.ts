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

/** What a reader gets until the test has finished, and the IDs. */
function read(store: Store, topic: string, lastId = ''): { got: string[]; ids: string[] } {
  const [got, ids]: [string[], string[]] = [[], []];
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const follow = async (): Promise<void> => {
    for await (const { id, event, data } of store.follow(topic, lastId, leaving.signal)) {
      got.push(`${event} ${data}`);
      if (id !== undefined) ids.push(id);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  follow().catch(() => got.push('rejected'));
  return { got, ids };
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `entry ${from + i}`);

async function append(store: Store, topic: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 1) await store.append(topic, String(n));
}

describe.each(['memory', ...(isRedisMissing() ? [] : ['Redis'])])('a store in %s', (kind) => {
  test('sends all it keeps, or what follows any ID, and then what comes', async () => {
    const store = await open(kind);
    await append(store, 'numbers', 1, 120);
    const all = read(store, 'numbers');
    await eventually(() => all.ids.length === 120);
    const late = [0, 49, 99, 119].map((i) => [i, read(store, 'numbers', all.ids[i])] as const);
    await append(store, 'numbers', 121, 170);
    for (const [i, { got }] of [[-1, all] as const, ...late]) {
      await eventually(() => got.length >= 169 - i);
      expect(got).toEqual(numbers(i + 2, 170));
    }
  });

  test('answers an ID that was trimmed, or that never was, with a reset and all it keeps', async () => {
    const store = await open(kind, { maxLength: 100 });
    await append(store, 'trimmed', 1, 1);
    const early = read(store, 'trimmed');
    await eventually(() => early.ids.length === 1);
    await append(store, 'trimmed', 2, 350);
    for (const id of [early.ids[0] ?? '', 'x', '1-1', '99999999999999999999-0', '-', '$', '(1-1', '1-1 +']) {
      const { got } = read(store, 'trimmed', id);
      await eventually(() => got.at(-1) === 'entry 350');
      expect(got.length).toBeLessThanOrEqual(201);
      expect(got).toEqual(['reset ', ...numbers(352 - got.length, 350)]);
    }
  });

  test('takes a first entry once, from whichever server it comes, and forgets it in time', async () => {
    const first = await open(kind, { keptMs: 300 });
    const second = kind === 'Redis' ? await open(kind, { keptMs: 300 }) : first;
    const asked = [first, second, first, second].map((store) => store.append('once', '1', 'first', true));
    expect((await Promise.all(asked)).filter(Boolean)).toEqual([true]);
    await eventually(async () => !(await second.has('once')));
  });
});

test('a store in memory forgets the topics without news when it has no room', async () => {
  const store = await open('memory');
  const text = 'x'.repeat(2 ** 20);
  for (let n = 0; n < 100; n += 1) {
    await store.append(`topic-${n}`, text);
    await store.append('live', 'x');
  }
  const has = await Promise.all(['topic-1', 'topic-99', 'live'].map(store.has));
  expect(has).toEqual([false, true, true]);
});

describe.skipIf(isRedisMissing())('a store in Redis', () => {
  test('tells its readers when the newest entry has vanished, and reads no more than once a second', async () => {
    const store = await open('Redis');
    const client = await connect();
    const reads = async (): Promise<number> =>
      Number(/cmdstat_xrange:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    await append(store, 'deleted', 1, 3);
    const { got, ids } = read(store, 'deleted');
    await eventually(() => ids.length === 3);
    await client.xDel('deleted', ids[2] ?? '');
    await eventually(() => got.includes('reset '));
    const before = await reads();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect((await reads()) - before).toBeLessThanOrEqual(3);
    await append(store, 'deleted', 4, 4);
    await eventually(() => got.at(-1) === 'entry 4');
    expect(got.slice(3)).toEqual(['reset ', 'entry 1', 'entry 2', 'entry 4']);
    await client.flushAll();
    await eventually(() => got.length === 8);
    expect(got[7]).toBe('reset ');
  });

  test('delivers IDs in nanoseconds', async () => {
    const client = await connect();
    const { got } = read(await open('Redis'), 'nanoseconds');
    for (const n of [1, 2, 3]) {
      await client.xAdd('nanoseconds', `176419200000000000${n}-0`, { event: 'entry', data: String(n) });
      await eventually(() => got.length === n);
    }
    expect(got).toEqual(numbers(1, 3));
  });

  test('rejects while Redis hangs or is down, and tells its readers', async () => {
    const store = await open('Redis');
    await append(store, 'outage', 1, 1);
    const reader = read(store, 'outage');
    await eventually(() => reader.ids.length === 1);
    redis?.process().child.kill('SIGSTOP');
    await eventually(() => !store.isReady());
    await expect(store.append('outage', '2')).rejects.toThrow();
    await eventually(() => reader.got.includes('rejected'));
    await redis?.kill();
    await expect(store.has('outage')).rejects.toThrow();
    await redis?.start();
    await eventually(store.isReady);
  });
});
