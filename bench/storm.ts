// The return of all clients after a deploy, by arithmetic: how many arrive in the busiest 100 ms. node --import tsx bench/storm.ts
import { DRAIN_WINDOW_MS } from '../server/app.ts';

const BUCKET_MS = 100;
/** What a native EventSource waits when no `retry:` tells it another time; server/eventStream.ts sends the same. */
const RECONNECTION_TIME_MS = 1000;

console.log(
  '| clients | without jitter: in the busiest 100 ms | with jitter: in the busiest 100 ms | mean over the window |',
);
console.log('| --- | --- | --- | --- |');
for (const clients of [1000, 10_000, 100_000, 1_000_000]) {
  const plain = busiest(clients, () => RECONNECTION_TIME_MS);
  const jittered = busiest(clients, () => Math.random() * DRAIN_WINDOW_MS);
  const mean = Math.round((clients * BUCKET_MS) / DRAIN_WINDOW_MS);
  console.log(`| ${[clients, plain, jittered, mean].map((n) => n.toLocaleString('en')).join(' | ')} |`);
}

function busiest(clients: number, delayMs: () => number): number {
  const arrivals = new Map<number, number>();
  for (let client = 0; client < clients; client += 1) {
    const bucket = Math.floor(delayMs() / BUCKET_MS);
    arrivals.set(bucket, (arrivals.get(bucket) ?? 0) + 1);
  }
  return Math.max(...arrivals.values());
}
