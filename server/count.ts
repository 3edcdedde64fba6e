/**
 * Counts from `first`, one number every `intervalMs`, the first of them after one interval. Number n is due at the start
 * plus n intervals: lateness does not add up, and numbers that are overdue follow a millisecond apart, none left out.
 * Returns what stops it.
 */
export function count(first: number, intervalMs: number, onNumber: (n: number) => void): () => void {
  const start = performance.now();
  let n = 0;
  let timer = schedule();
  return () => clearTimeout(timer);

  function schedule(): NodeJS.Timeout {
    return setTimeout(tick, start + (n + 1) * intervalMs - performance.now());
  }

  function tick(): void {
    n += 1;
    timer = schedule();
    onNumber(first + n - 1);
  }
}
