/** Pseudo-random numbers, the same for the same seed. */
export interface Random {
  between(min: number, max: number): number;
  /** A whole number from 0 to `n` - 1. */
  below(n: number): number;
  one<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
}

/** A generator that starts at `seed`. */
export function generator(seed: number): Random {
  // mulberry32, by Tommy Ettinger.
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    between: (min, max) => min + next() * (max - min),
    below: (n) => Math.floor(next() * n),
    one(items) {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error('expected something to choose from');
      return item;
    },
    shuffled: (items) =>
      items
        .map((item) => ({ item, place: next() }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ item }) => item),
  };
}
