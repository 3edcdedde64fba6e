import { setTimeout as sleep } from 'node:timers/promises';

/** The result of one proof. It throws when a bound is exceeded. */
export interface Outcome {
  cases: number;
  /** The server's memory, as `found` says. */
  beforeBytes: number;
  afterBytes: number;
  /** The other figures, in words. */
  found: string;
}

/** Throws unless `found` is within its bound. */
export function atMost(what: string, found: number, bound: number): void {
  if (!(found <= bound)) throw new Error(`${what}: expected at most ${bound}, found ${found}`);
}

/** Throws unless the two are the same. */
export function same(what: string, found: unknown, expected: unknown): void {
  if (!Object.is(found, expected))
    throw new Error(`${what}: expected ${String(expected)}, found ${String(found)}`);
}

/** Waits until `condition` holds. Throws when it does not within `ms`, by default 30 s. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 30_000,
): Promise<void> {
  const until = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > until)
      throw new Error(`${what}: expected within ${Math.round(ms)} ms, found it has not happened`);
    await sleep(50);
  }
}
