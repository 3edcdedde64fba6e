import { describe, expect, test } from 'vitest';
import { floods } from './abuse/floods.ts';
import { goneClients } from './abuse/goneClients.ts';
import { heap } from './abuse/heap.ts';
import { halfOpen, whyNoNamespaces } from './abuse/halfOpen.ts';
import { fuzz } from './abuse/fuzz.ts';
import { shutdown } from './abuse/shutdown.ts';
import { slowReaders } from './abuse/slowReaders.ts';
import { randomSeed } from './support/random.ts';

/** How late numbers may be: other tests keep the machine busy. */
const LATE_MS = 5000;

// The quick forms; test/abuse/run.ts is the long one. Each throws when a bound is broken.
describe.concurrent('a server endures', () => {
  const seed = Number(process.env['ABUSE_SEED'] ?? randomSeed());
  console.log(`ABUSE_SEED=${seed}`);

  test('clients that never read', async () => {
    expect((await slowReaders(100, 2, LATE_MS)).cases).toBe(100);
  });

  test('many open streams, each with less than 8 kB of heap', async () => {
    expect((await heap(2000)).cases).toBe(2000);
  });

  test('clients that connect and leave in every way', async () => {
    expect((await goneClients(500, seed, 0.3)).cases).toBe(500);
  });

  test('more requests than it has places for', async () => {
    expect((await floods(1000, LATE_MS)).cases).toBe(1000);
  });

  test('random requests', async () => {
    expect((await fuzz(1000, seed)).cases).toBe(1000);
  });

  test.skipIf(process.platform === 'win32')('SIGTERM with many streams open', async () => {
    expect((await shutdown(200, 'SIGTERM')).cases).toBe(200);
  });

  test('an uncaught exception: it asks its clients to reconnect and exits with code 1', async () => {
    expect((await shutdown(50, 'uncaughtException')).cases).toBe(50);
  });

  test.skipIf(whyNoNamespaces())('clients whose network vanishes', async () => {
    expect((await halfOpen(10, 2)).cases).toBe(10);
  });
});
