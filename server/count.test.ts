import { afterEach, beforeEach, expect, test, vi } from 'vitest';
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

test('numbers keep to an interval that is no whole number of steps', () => {
  const { times } = record(1, 333);
  vi.advanceTimersByTime(333_000);
  expect(times.length).toBe(1000);
  expect(Math.max(...times.map((time, i) => Math.abs(time - (i + 1) * 333)))).toBeLessThanOrEqual(11);
});

test('streams with other intervals keep to their own', () => {
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
  vi.advanceTimersToNextTimer(); // one turn: there is more to catch up with
  const late = record(1, 1000);
  vi.advanceTimersByTime(999);
  expect(numbers).toEqual([1, 2, 3, 4, 5]);
  expect(late.numbers).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(late.numbers).toEqual([1]);
});

test('overdue numbers come one a turn, and later ones are back on time', () => {
  const { numbers, times } = record(1, 1000);
  vi.advanceTimersByTime(1000);
  const set = vi.spyOn(globalThis, 'setTimeout');
  const now = performance.now.bind(performance);
  // The clock says 3.5 s later, and no timer has had its turn: the event loop was busy.
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3500);
  for (const n of [2, 3, 4, 5]) {
    vi.advanceTimersToNextTimer(); // one turn of the event loop
    expect(numbers.at(-1)).toBe(n);
  }
  vi.advanceTimersByTime(500);
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  expect(times.at(-1)).toBe(6000);
  expect(Math.min(...set.mock.calls.map(([, ms = 0]) => ms))).toBe(0); // Node 24 warns of negative times
});

test('a thousand numbers with timers that are always late do not drift', () => {
  const set = setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((call, ms = 0, ...given) =>
    set(call, ms + Math.random() * 20, ...given),
  );
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

test('stopping at a number leaves no timer', () => {
  const stop = count(1, 1000, () => stop());
  vi.advanceTimersByTime(1000);
  expect(vi.getTimerCount()).toBe(0);
});
