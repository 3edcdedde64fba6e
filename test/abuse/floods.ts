import { once } from 'node:events';
import { request } from '../support/rawHttp.ts';
import { many, read, send } from './clients.ts';
import { atMost, eventually, same, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';

const TICK_MS = 100;
const INSIDE = 100;
const AT_ONCE = 50;

/** Requests beyond the limit: each is refused within `lateMs`, and no frame is later than that. */
export async function floods(requests: number, lateMs = 1000): Promise<Outcome> {
  const server = await startProbed({ env: { TICK_MS: `${TICK_MS}`, MAX_CONNECTIONS: `${INSIDE}` } });
  try {
    const readers = await many(INSIDE, () => read(server.port, TICK_MS));
    const before = await server.figures('collect');
    const from = performance.now();
    const waits = (
      await Promise.all(Array.from({ length: AT_ONCE }, () => knock(server.port, requests / AT_ONCE)))
    ).flat();
    const seconds = (performance.now() - from) / 1000;
    const { cpuMs } = await server.figures();
    const worst = Math.max(...readers.map((reader) => reader.worstMs()));
    atMost('latest number inside, ms', worst, lateMs);
    const slowest = waits.reduce((a, b) => Math.max(a, b), 0);
    atMost('slowest refusal, ms', slowest, lateMs);
    for (const reader of readers) reader.leave();
    await eventually('all sockets closed', async () => (await server.figures()).sockets === 0);
    const after = await server.figures('collect');
    same('standard error', server.errors(), '');
    const share = (INSIDE * (seconds * 1000)) / TICK_MS;
    return {
      cases: waits.length,
      beforeBytes: before.rssBytes,
      afterBytes: after.rssBytes,
      found:
        `each got its 503, ${Math.round(((cpuMs - before.cpuMs) * 1000) / waits.length)} µs of CPU each with ${Math.round(share)} frames in the same time, ` +
        `slowest ${Math.round(slowest)} ms; numbers inside at most ${Math.round(worst)} ms late; RSS`,
    };
  } finally {
    await server.stop();
  }
}

/** Sends requests, ten on each connection. Returns how long each answer took, ms. */
async function knock(port: number, requests: number): Promise<number[]> {
  const waits: number[] = [];
  while (waits.length < requests) {
    const socket = await send(port, '');
    socket.setEncoding('latin1');
    for (let i = 0; i < 10 && waits.length < requests; i++) {
      const from = performance.now();
      socket.write(request('GET', '/count'));
      const [answer] = await once(socket, 'data');
      const status = String(answer).slice(0, 12);
      same('answer beyond the cap', status, 'HTTP/1.1 503');
      waits.push(performance.now() - from);
    }
    socket.destroy();
  }
  return waits;
}
