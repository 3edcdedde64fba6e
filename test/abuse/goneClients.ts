import type { Socket } from 'node:net';
import { request } from '../support/rawHttp.ts';
import { happens, many, scriptOf, send } from './clients.ts';
import { atMost, eventually, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';
import { generator, type Random } from '../support/random.ts';

const GET = request('GET', '/count');
const FILES_BEHIND_A_STREAM = 900;

/** The ways to leave. Each resolves when the client's socket has closed. */
const WAYS: Way[] = [
  (port) => leave(port, '', 'end'),
  (port) => leave(port, GET.slice(0, -2), 'end'),
  (port) => leave(port, GET.slice(0, 9), 'reset'),
  (port) => leave(port, GET, 'end'),
  (port) => leave(port, GET, 'reset'),
  (port) => leave(port, GET + GET, 'reset'),
  (port) => leave(port, `${GET}GET /co`, 'end'),
  (port, { below }) => leaveAfter(port, 'end', below(2)),
  (port, { below }) => leaveAfter(port, 'reset', below(2)),
];
type Way = (port: number, random: Random) => Promise<void>;

/** Clients that leave in every way leave no timer, socket or file, and at most `growth` of the heap. */
export async function goneClients(cycles: number, seed: number, growth = 0.05): Promise<Outcome> {
  const server = await startProbed({ env: { TICK_MS: '10' } });
  try {
    const dice = generator(seed);
    const files = request('GET', await scriptOf(server.port)).repeat(FILES_BEHIND_A_STREAM);
    const ways: Way[] = [...WAYS, (port, { below }) => leaveAfter(port, 'reset', below(2), GET + files)];
    const idle = await server.figures('collect');
    const come = (n: number): Promise<unknown> =>
      many(n, () => dice.one(ways)(server.port, dice)).then(() =>
        eventually('all sockets closed', async () => (await server.figures()).sockets === idle.sockets),
      );
    await come(cycles / 4); // warm-up, so that code is compiled
    const before = await server.figures('collect');
    await come(cycles);
    await eventually(
      'all descriptors closed',
      async () => (await server.figures()).descriptors <= before.descriptors,
    );
    const after = await server.figures('collect');
    atMost('timers left', after.timers, before.timers);
    atMost('heap, bytes', after.heapBytes, before.heapBytes * (1 + growth));
    atMost('lines on standard error', server.errors().length, 0);
    return {
      cases: cycles,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `${after.sockets} sockets, ${after.timers} timers and ${after.descriptors - before.descriptors} descriptors left; heap after a forced collection`,
    };
  } finally {
    await server.stop();
  }
}

async function leave(port: number, text: string, how: 'end' | 'reset'): Promise<void> {
  const socket = await send(port, text);
  await close(socket, how);
}

/** Leaves after the first chunk of the stream and `chunks` more. */
async function leaveAfter(port: number, how: 'end' | 'reset', chunks: number, text = GET): Promise<void> {
  const socket = await send(port, text);
  for (let i = 0; i <= chunks && !socket.closed; i++)
    await Promise.race([happens(socket, 'data'), happens(socket, 'close')]);
  await close(socket, how);
}

async function close(socket: Socket, how: 'end' | 'reset'): Promise<void> {
  if (socket.closed) return;
  socket.resume();
  if (how === 'end') socket.end();
  else socket.resetAndDestroy();
  await happens(socket, 'close');
}
