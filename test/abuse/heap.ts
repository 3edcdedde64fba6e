import type { Socket } from 'node:net';
import { request } from '../support/rawHttp.ts';
import { happens, many, send } from './clients.ts';
import { atMost, eventually, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';

/** What an open stream may take of JavaScript's heap, with all that Node and Express keep for it. */
const HEAP_BYTES_A_STREAM = 8000;
const WARM_UP = 200;

/** Open streams: what each takes of the heap. */
export async function heap(streams: number): Promise<Outcome> {
  const server = await startProbed();
  try {
    const open = async (): Promise<Socket> => {
      const socket = await send(server.port, request('GET', '/count'));
      await Promise.race([happens(socket, 'data'), happens(socket, 'close')]);
      return socket.resume();
    };
    const { sockets } = await server.figures();
    for (const socket of await many(WARM_UP, open)) socket.destroy();
    await eventually('all sockets closed', async () => (await server.figures()).sockets === sockets);
    const before = await server.figures('collect');
    const clients = await many(streams, open);
    const after = await server.figures('collect');
    for (const client of clients) client.destroy();
    const each = Math.round((after.heapBytes - before.heapBytes) / streams);
    atMost('heap of a stream, bytes', each, HEAP_BYTES_A_STREAM);
    return {
      cases: streams,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `${each} bytes of heap a stream on Node ${process.version}; heap after a forced collection`,
    };
  } finally {
    await server.stop();
  }
}
