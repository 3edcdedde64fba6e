import { expect, test } from 'vitest';
import { OUTAGES, requestsInAnHour, runModel } from './model/run.ts';

const SEEDS = 300;

test('a subscription keeps its promises in every life: one connection, in order, never stuck, its status true', async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) await runModel(seed);
});

test.each(OUTAGES)(
  'an hour of outage costs at most 300 GET, and a HEAD each: %s',
  async (_name, behaviour) => {
    for (const seed of [1, 2, 3]) {
      const { GET, HEAD } = await requestsInAnHour(behaviour, seed);
      expect(GET).toBeLessThanOrEqual(300);
      expect(HEAD).toBeLessThanOrEqual(GET);
    }
  },
);
