import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { count } from './count.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.restoreAllMocks().useRealTimers());

function record(first: number, intervalMs: number): { numbers: number[]; times: number[]; stop: () => void } {
  const start = performance.now();
  const numbers: number[] = [];
  const times: number[] = [];
  const stop = count(first, intervalMs, (n) => {
    numbers.push(n);
    times.push(performance.now() - start);
  });
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

test('numbers that are overdue follow at once, and later ones are back on time', () => {
  const { numbers, times } = record(1, 1000);
  vi.advanceTimersByTime(1000);
  const now = performance.now.bind(performance);
  // The clock says 3.5 s later, and no timer has had its turn: the event loop was busy.
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3500);
  vi.advanceTimersByTime(1010);
  expect(numbers).toEqual([1, 2, 3, 4, 5]);
  vi.advanceTimersByTime(490);
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  expect(times.at(-1)).toBe(6000);
});

test('a thousand numbers with timers that are always late do not drift', () => {
  const set = setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((call, ms = 0) => set(call, ms + Math.random() * 20));
  const { numbers, times } = record(1, 1000);
  vi.advanceTimersByTime(1_000_020);
  expect(numbers.length).toBe(1000);
  expect(Math.max(...times.map((time, i) => Math.abs(time - (i + 1) * 1000)))).toBeLessThanOrEqual(20);
});

test('stopping leaves no timer and sends no more numbers', () => {
  const { numbers, stop } = record(1, 1000);
  vi.advanceTimersByTime(1000);
  stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(5000);
  expect(numbers).toEqual([1]);
});
