/** Who begins in the same hundredth of an interval shares a timer: a wake-up serves many, and a frame costs a quarter less. */
const PHASES = 100;

const clocks = new Map<string, ReturnType<typeof startClock>>();

/**
 * Counts from `first`, one number every `intervalMs`, the first of them after one interval, or sooner by up to a hundredth
 * and the 2 ms of Node's timers. Number n is due at the start plus n intervals: lateness does not add up, and numbers that
 * are overdue follow a millisecond apart, none left out. `onNumber` must not throw: others would miss their turn. Returns
 * what stops it.
 */
export function count(first: number, intervalMs: number, onNumber: (n: number) => void): () => void {
  const start = Math.floor((performance.now() / intervalMs) * PHASES);
  const key = `${start % PHASES} of ${intervalMs}`;
  const clock = clocks.get(key) ?? startClock(start, intervalMs);
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

/** Tells all who listen the time, in hundredths of an interval, once an interval. */
function startClock(start: number, intervalMs: number) {
  const listeners = new Set<(now: number) => void>();
  let now = start;
  let timer = schedule();
  return { listeners, stop: () => clearTimeout(timer) };

  function schedule(): NodeJS.Timeout {
    return setTimeout(tick, ((now + PHASES) / PHASES) * intervalMs - performance.now());
  }

  function tick(): void {
    now += PHASES;
    timer = schedule();
    for (const onTick of listeners) onTick(now);
  }
}
