import { AsyncLocalStorage } from 'node:async_hooks';

/** Streams that start at the same 10 ms of an interval, or tenth of it, share a timer: a third less CPU. */
const STEP_MS = 10;
const MIN_STEPS = 10;

/** Ticks due within this time are due now: Node's timers fire up to 1 ms early. */
const EARLY_MS = 1;

/** A callback, and when it is due next. */
interface Listener {
  dueMs: number;
  onTick: () => void;
}

interface Clock {
  listeners: Set<Listener>;
  stop(): void;
}

/** The clocks that run, by interval and step. */
const clocks = new Map<string, Clock>();

/** Runs a callback outside the caller's async context, which a timer would keep for the other streams too. */
const withoutContext = AsyncLocalStorage.snapshot();

/**
 * Calls `onTick` every `intervalMs`, in milliseconds, until the returned function is called. Tick n is due at
 * the start plus n intervals, so lateness does not add up. The start is rounded down by up to 10 ms. Missed
 * ticks run at once, or later if they would delay other listeners. `onTick` must not throw.
 */
export function every(intervalMs: number, onTick: () => void): () => void {
  const steps = Math.max(MIN_STEPS, Math.round(intervalMs / STEP_MS)); // in an interval
  const step = Math.floor((performance.now() / intervalMs) * steps);
  const key = `${intervalMs} ms, step ${step % steps}`;
  const listener = { dueMs: (step / steps + 1) * intervalMs, onTick };

  const clock = clocks.get(key) ?? withoutContext(startClock, listener.dueMs, intervalMs, intervalMs / steps);
  clocks.set(key, clock);
  clock.listeners.add(listener);
  return () => {
    listener.dueMs = Infinity;
    if (!clock.listeners.delete(listener) || clock.listeners.size > 0) return;
    clock.stop();
    clocks.delete(key);
  };
}

function startClock(firstDueMs: number, intervalMs: number, catchUpMs: number): Clock {
  const listeners = new Set<Listener>();
  let timer = schedule(firstDueMs);
  return { listeners, stop: () => clearTimeout(timer) };

  function schedule(dueMs: number): NodeJS.Timeout {
    const ms = Math.ceil(dueMs - performance.now());
    return setTimeout(tick, Math.max(0, ms)); // Node 24 warns of negative times
  }

  function tick(): void {
    const now = performance.now() + EARLY_MS;
    let nextMs = Infinity;
    for (const listener of listeners) {
      while (listener.dueMs < now) {
        listener.dueMs += intervalMs;
        listener.onTick();
        if (listener.dueMs < now && performance.now() > now + catchUpMs) break;
      }
      nextMs = Math.min(nextMs, listener.dueMs);
    }
    if (listeners.size > 0) timer = schedule(nextMs);
  }
}
