import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AsyncLocalStorage } from 'node:async_hooks';
import { every } from './clock.ts';
import { count } from './count.ts';

let stops: (() => void)[];
beforeEach(() => {
  stops = [];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.advanceTimersByTime(5000 - (performance.now() % 1000)); // the start of an interval
});
afterEach(() => {
  for (const stop of stops) stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.restoreAllMocks().useRealTimers();
});

function record(first: number, intervalMs: number): { numbers: number[]; times: number[]; stop: () => void } {
  const start = performance.now();
  const numbers: number[] = [];
  const times: number[] = [];
  const stop = count(first, intervalMs, (n) => {
    numbers.push(n);
    times.push(performance.now() - start);
  });
  stops.push(stop);
  return { numbers, times, stop };
}

test('a number comes at every interval, the first after one', () => {
  const { numbers, times } = record(42, 1000);
  vi.advanceTimersByTime(999);
  expect(numbers).toEqual([]);
  vi.advanceTimersByTime(2001);
  expect(numbers).toEqual([42, 43, 44]);
  expect(times).toEqual([1000, 2000, 3000]);
});

test.each([1000, 100, 10_000])(
  'streams that start within the same 10 ms share a timer, at an interval of %i ms',
  (intervalMs) => {
    vi.advanceTimersByTime(20_000 - (performance.now() % 10_000));
    const a = record(1, intervalMs);
    vi.advanceTimersByTime(9);
    const b = record(7, intervalMs);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    const c = record(1, intervalMs);
    expect(vi.getTimerCount()).toBe(2);
    vi.advanceTimersByTime(2 * intervalMs);
    expect(a.times).toEqual([intervalMs, 2 * intervalMs]);
    expect(b.times).toEqual([intervalMs - 9, 2 * intervalMs - 9]);
    expect(b.numbers).toEqual([7, 8]);
    expect(c.times).toEqual([intervalMs, 2 * intervalMs]);
  },
);

test('at an interval under 100 ms, streams that start within the same tenth share a timer', () => {
  const a = record(1, 50);
  vi.advanceTimersByTime(4);
  const b = record(1, 50);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1);
  const c = record(1, 50);
  expect(vi.getTimerCount()).toBe(2);
  vi.advanceTimersByTime(50);
  expect([a.times, b.times, c.times]).toEqual([[50], [46], [50]]);
});

test('numbers keep to an interval that is no whole number of steps, and timers are shared', () => {
  vi.advanceTimersByTime(333 - (performance.now() % 333));
  const { times } = record(1, 333);
  vi.advanceTimersByTime(333);
  record(1, 333);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(333_000);
  expect(times.length).toBe(1001);
  expect(Math.max(...times.map((time, i) => Math.abs(time - (i + 1) * 333)))).toBeLessThanOrEqual(11);
});

test('another interval has a timer of its own', () => {
  const slow = record(1, 1000);
  const fast = record(1, 500);
  vi.advanceTimersByTime(2000);
  expect(slow.times).toEqual([1000, 2000]);
  expect(fast.times).toEqual([500, 1000, 1500, 2000]);
});

test('a newcomer gets its own first number on time while the numbers of others are overdue', () => {
  const { numbers } = record(1, 1000);
  vi.advanceTimersByTime(1000);
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3000);
  const late = record(1, 1000);
  vi.advanceTimersByTime(999);
  expect(late.numbers).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(late.numbers).toEqual([1]);
  expect(numbers).toEqual([1, 2, 3, 4, 5]);
});

test('overdue numbers come in one turn, and later ones are back on time', () => {
  const { numbers, times } = record(1, 1000);
  vi.advanceTimersByTime(1000);
  const now = performance.now.bind(performance);
  // The clock says 3.5 s later, and no timer has had its turn: the event loop was busy.
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3500);
  vi.advanceTimersToNextTimer(); // one turn of the event loop
  expect(numbers).toEqual([1, 2, 3, 4, 5]);
  vi.advanceTimersByTime(500);
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  expect(times.at(-1)).toBe(6000);
});

test('a timer is never set to a time in the past, of which Node 24 warns', () => {
  const set = vi.spyOn(globalThis, 'setTimeout');
  const now = performance.now.bind(performance);
  let busyMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + busyMs);
  const stop = every(1000, () => (busyMs += 1500));
  vi.advanceTimersByTime(1000);
  expect(set.mock.calls.map(([, ms]) => ms)).toEqual([1000, 0]);
  stop();
});

test('a thousand numbers with timers that are always late do not drift', () => {
  const set = setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((call, ms = 0) => set(call, ms + Math.random() * 20));
  const { numbers, times } = record(1, 1000);
  vi.advanceTimersByTime(1_000_020);
  expect(numbers.length).toBe(1000);
  expect(Math.max(...times.map((time, i) => Math.abs(time - (i + 1) * 1000)))).toBeLessThanOrEqual(20);
});

test('stopping sends no more numbers, and leaves no timer when nobody else counts', () => {
  const { numbers, stop } = record(1, 1000);
  const other = record(1, 1000);
  vi.advanceTimersByTime(1000);
  stop();
  stop();
  vi.advanceTimersByTime(1000);
  expect(numbers).toEqual([1]);
  expect(other.numbers).toEqual([1, 2]);
  other.stop();
  expect(vi.getTimerCount()).toBe(0);
  const again = record(1, 1000);
  stop();
  vi.advanceTimersByTime(1000);
  expect(again.numbers).toEqual([1]);
});

test('numbers that can not be caught up with leave a turn to others', () => {
  const real = performance.now.bind(performance);
  let busyMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => real() + busyMs);
  let slow = 0;
  stops.push(
    every(5, () => {
      slow += 1;
      busyMs += 2; // three listeners of these are more than a core can do
    }),
    every(5, () => (busyMs += 2)),
    every(5, () => (busyMs += 2)),
  );
  vi.advanceTimersByTime(50);
  const before = busyMs;
  const newcomer = record(1, 5);
  while (newcomer.numbers.length === 0) vi.advanceTimersToNextTimer();
  expect(busyMs - before).toBeLessThan(60); // caught up with, they would take minutes
  expect(slow).toBeGreaterThan(5);
});

test('a shared timer has no async context: neither of who started it nor of who joined', () => {
  const client = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  for (const name of ['first', 'second']) {
    client.run(name, () => stops.push(every(1000, () => seen.push(client.getStore()))));
  }
  vi.advanceTimersByTime(2000);
  expect(seen).toEqual([undefined, undefined, undefined, undefined]);
});

test('lateness does not add up at an interval of 1 ms, and a newcomer waits for nobody', async () => {
  vi.useRealTimers();
  const start = performance.now();
  const counters = Array.from({ length: 5 }, () => record(1, 1));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const late = record(1, 1);
  await vi.waitUntil(() => late.numbers.length > 0, { interval: 1 });
  const elapsed = performance.now() - start;
  for (const { numbers } of counters) expect(elapsed - numbers.length).toBeLessThan(100);
  expect(Math.min(...late.times)).toBeLessThan(100);
  for (const { stop } of [...counters, late]) stop();
  vi.useFakeTimers();
});
