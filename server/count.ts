import { every } from './clock.ts';

/**
 * One connection's counter: calls `onNumber` with `first`, `first + 1`, and so on, one every `intervalMs`,
 * none left out. Returns a function that stops it.
 */
export function count(first: number, intervalMs: number, onNumber: (n: number) => void): () => void {
  let n = first;
  return every(intervalMs, () => onNumber(n++));
}
