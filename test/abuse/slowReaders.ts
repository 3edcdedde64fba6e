import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'node:net';
import { MAX_BUFFERED_BYTES, STALLED_AFTER_MS } from '../../server/eventStream.ts';
import { request } from '../support/rawHttp.ts';
import { many, read, send } from './clients.ts';
import { atMost, eventually, same, type Outcome } from './outcome.ts';
import { startProbed, type Probed } from './process.ts';

/** Clients that do read, beside those that don't. */
const READERS = 20;

/** The default of `heartbeatMs`. */
const HEARTBEAT_MS = 15_000;

/** Memory per buffered byte, for frames of 20 bytes: the text, and its place in the queue. */
const BYTES_PER_BYTE = 12;

/** Clients of the product that never read. The kernel buffers all that they are sent. */
export async function slowReaders(stalled: number, seconds: number, lateMs = 1000): Promise<Outcome> {
  const tickMs = 200;
  const server = await startProbed({ env: { TICK_MS: `${tickMs}` } });
  return watched(server, tickMs, stalled, seconds, '/count', 0, lateMs);
}

/** Clients that never read: their backlog in the process is bounded. Over TLS nobody else reads. */
export async function fullReaders(stalled: number, seconds: number, isSecure = false): Promise<Outcome> {
  const tickMs = 10;
  const env = { TICK_MS: `${tickMs}`, TLS: isSecure ? '1' : '' };
  const server = await startProbed({ program: 'test/abuse/firehose.ts', env });
  const bytesEach = 2 * MAX_BUFFERED_BYTES * BYTES_PER_BYTE;
  return watched(server, tickMs, stalled, seconds, '/', bytesEach, 1000, isSecure);
}

/**
 * Clients that never read, of a stream that has gone quiet: disconnected when they have taken nothing for the
 * heartbeat's time and then for `STALLED_AFTER_MS`. Node counts a write that the kernel took in part as
 * progress when it first looks, so both may double.
 */
export async function quietStream(stalled: number): Promise<Outcome> {
  const server = await startProbed({ program: 'test/abuse/firehose.ts' });
  const clients: Socket[] = [];
  try {
    const before = await server.figures('collect');
    await many(stalled, async () => void clients.push(await stall(server.port, '/quiet')));
    await eventually('all connected', async () => (await server.figures()).sockets === stalled);
    const from = performance.now();
    const bound = (HEARTBEAT_MS + STALLED_AFTER_MS) * 2.1;
    await eventually('all cut', async () => (await server.figures()).sockets === 0, bound);
    const ms = performance.now() - from;
    const after = await server.figures('collect');
    return {
      cases: stalled,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `cut after ${(ms / 1000).toFixed(1)} s without progress; heap`,
    };
  } finally {
    for (const client of clients) client.destroy();
    await server.stop();
  }
}

async function watched(
  server: Probed,
  tickMs: number,
  stalled: number,
  seconds: number,
  path: string,
  bytesEach: number,
  lateMs: number,
  isSecure = false,
): Promise<Outcome> {
  const clients: Socket[] = [];
  const others = isSecure ? 0 : READERS;
  try {
    const readers = await many(others, () => read(server.port, tickMs));
    const come = (n: number): Promise<unknown> =>
      many(n, async () => void clients.push(await stall(server.port, path, isSecure)));
    await come(stalled);
    await eventually('all connected', async () => (await server.figures()).sockets === others + stalled);
    const before = await server.figures('collect');
    const samples: number[] = [];
    for (const until = performance.now() + seconds * 1000; performance.now() < until; await sleep(500)) {
      const { rssBytes, sockets } = await server.figures();
      samples.push(rssBytes);
      await come(others + stalled - sockets); // the disconnected ones reconnect
    }
    const after = await server.figures('collect');
    const half = Math.floor(samples.length / 2);
    const peak = Math.max(...samples);
    atMost('RSS, bytes', peak, before.rssBytes + stalled * bytesEach + 40e6);
    atMost(
      'RSS in the second half, bytes',
      Math.max(...samples.slice(half)),
      Math.max(...samples.slice(0, half)) * 1.15 + 10e6,
    );
    const worst = Math.max(0, ...readers.map((reader) => reader.worstMs()));
    atMost('latest number of those that read, ms', worst, lateMs);
    same('standard error', server.errors(), '');
    const each = (peak - before.rssBytes) / stalled / 1000;
    return {
      cases: stalled,
      beforeBytes: before.rssBytes,
      afterBytes: after.rssBytes,
      found: `${clients.length - stalled} cut and back again, peak ${Math.round(peak / 1e6)} MB, ${Math.round(each)} kB each; ${others} others at most ${Math.round(worst)} ms late; RSS`,
    };
  } finally {
    for (const client of clients) client.destroy();
    await server.stop();
  }
}

/** A client that opens a stream and never reads. */
async function stall(port: number, path: string, isSecure = false): Promise<Socket> {
  return (await send(port, request('GET', path), isSecure)).pause();
}
