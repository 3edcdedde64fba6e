/** Who begins in the same 10 ms, or tenth of an interval under 100 ms, shares a timer: a frame costs a quarter less. */
const STEP_MS = 10;
const MIN_STEPS = 10;

const clocks = new Map<string, ReturnType<typeof startClock>>();

/**
 * Counts from `first`, one number every `intervalMs`, the first of them after one interval, or sooner by up to a step
 * and the 2 ms of Node's timers. Number n is due at the start plus n intervals: lateness does not add up, and numbers that
 * are overdue follow a millisecond apart, none left out. `onNumber` must not throw: others would miss their turn. Returns
 * what stops it.
 */
export function count(first: number, intervalMs: number, onNumber: (n: number) => void): () => void {
  const steps = Math.max(MIN_STEPS, Math.round(intervalMs / STEP_MS)); // in an interval
  const start = Math.floor((performance.now() / intervalMs) * steps);
  const key = `${start % steps} of ${intervalMs}`;
  const clock = clocks.get(key) ?? startClock(start, steps, intervalMs);
  clocks.set(key, clock);

  let n = first;
  const onTick = (now: number): void => {
    if (now > start) onNumber(n++);
  };
  clock.listeners.add(onTick);
  return () => {
    if (!clock.listeners.delete(onTick) || clock.listeners.size > 0) return;
    clock.stop();
    clocks.delete(key);
  };
}

/** Tells all who listen the time, in steps, once an interval. */
function startClock(start: number, steps: number, intervalMs: number) {
  const listeners = new Set<(now: number) => void>();
  let now = start;
  let timer = schedule();
  return { listeners, stop: () => clearTimeout(timer) };

  function schedule(): NodeJS.Timeout {
    return setTimeout(tick, ((now + steps) / steps) * intervalMs - performance.now());
  }

  function tick(): void {
    now += steps;
    timer = schedule();
    for (const onTick of listeners) onTick(now);
  }
}
