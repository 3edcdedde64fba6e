import { execSync } from 'node:child_process';
import { floods } from './floods.ts';
import { goneClients } from './goneClients.ts';
import { halfOpen, whyNoNamespaces } from './halfOpen.ts';
import { heap } from './heap.ts';
import type { Outcome } from './outcome.ts';
import { fuzz } from './fuzz.ts';
import { shutdown } from './shutdown.ts';
import { fullReaders, quietStream, slowReaders } from './slowReaders.ts';
import { randomSeed } from '../support/random.ts';

/** The long form, whose figures are in test/README.md. test/abuse.proof.ts is the short form. */
const PROOFS: Record<string, (seed: number) => Promise<Outcome>> = {
  'slow readers': () => slowReaders(fitting(1000), 60),
  // The kernel buffers up to 2.6 MB for each of them, at least on the loopback interface.
  'full readers': () => fullReaders(100, 70),
  'full readers over TLS': () => fullReaders(1000, 70, true),
  'quiet stream': () => quietStream(100),
  'gone clients': (seed) => goneClients(20_000, seed),
  'half-open': () => halfOpen(100, 5),
  floods: () => floods(50_000),
  heap: () => heap(fitting(5000)),
  fuzz: (seed) => fuzz(100_000, seed),
  shutdown: () => shutdown(fitting(5000), 'SIGTERM'),
  crash: () => shutdown(1000, 'uncaughtException'),
};

const [seed = randomSeed(), only] = process.argv.slice(2);
console.log(`seed ${seed}`);
for (const [name, proof] of Object.entries(PROOFS)) {
  if (only !== undefined && only !== name) continue;
  const why = name === 'half-open' ? whyNoNamespaces() : undefined;
  if (why !== undefined) {
    console.log(`${name}: skipped. ${why}`);
    continue;
  }
  const from = performance.now();
  try {
    const { cases, beforeBytes, afterBytes, found } = await proof(Number(seed));
    const seconds = ((performance.now() - from) / 1000).toFixed(1);
    console.log(
      `${name}: ${cases} cases, ${seconds} s, ${found} ${megabytes(beforeBytes)} → ${megabytes(afterBytes)} MB`,
    );
  } catch (error) {
    console.error(`${name}: BROKEN: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

/** `n` connections, or as many as the limit on open files allows. */
function fitting(n: number): number {
  const limit = process.platform === 'win32' ? Infinity : Number(execSync('ulimit -n'));
  const most = Number.isNaN(limit) ? n : Math.min(n, limit - 200);
  if (most < n)
    console.log(`open files: expected a limit of ${n + 200}, found ${limit}; scaled down to ${most}`);
  return most;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
