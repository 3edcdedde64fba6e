import { DRAIN_WINDOW_MS } from '../server/app.ts';

const BUCKET_MS = 100;
/** What a native EventSource waits when no `retry:` tells it another time; server/eventStream.ts sends the same. */
const RECONNECTION_TIME_MS = 1000;

/** The return of a server's clients after a deploy, by arithmetic: how many arrive in the busiest 100 ms. A title, a head and rows. */
export function stormTable(): [title: string, head: string[], rows: string[][]] {
  const rows = [1000, 10_000, 100_000, 1_000_000].map((clients) => {
    const plain = busiest(clients, () => RECONNECTION_TIME_MS);
    const jittered = busiest(clients, () => Math.random() * DRAIN_WINDOW_MS);
    const mean = Math.round((clients * BUCKET_MS) / DRAIN_WINDOW_MS);
    return [clients, plain, jittered, mean].map((n) => n.toLocaleString('en'));
  });
  return [
    `All clients come back after a deploy: how many in the busiest ${BUCKET_MS} ms`,
    ['clients', 'without jitter', `with a \`retry\` over ${DRAIN_WINDOW_MS / 1000} s`, 'on average'],
    rows,
  ];
}

function busiest(clients: number, delayMs: () => number): number {
  const arrivals = new Map<number, number>();
  for (let client = 0; client < clients; client += 1) {
    const bucket = Math.floor(delayMs() / BUCKET_MS);
    arrivals.set(bucket, (arrivals.get(bucket) ?? 0) + 1);
  }
  return Math.max(...arrivals.values());
}
