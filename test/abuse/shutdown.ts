import { body, request } from '../support/rawHttp.ts';
import { happens, many, send } from './clients.ts';
import { atMost, same, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';
import { ended } from '../support/processes.ts';

/** `DRAIN_DEADLINE_MS` in server/main.ts, and a second for a busy machine. */
const DEADLINE_MS = 5000 + 1000;

const ENDS = {
  SIGTERM: { code: 0, errors: /^$/ },
  uncaughtException: { code: 1, errors: /^Error: thrown on purpose\n/ },
};

/** A server that is terminated or fails asks every client to reconnect, each after another time. */
export async function shutdown(streams: number, why: keyof typeof ENDS): Promise<Outcome> {
  const server = await startProbed({ env: { MAX_CONNECTIONS: `${streams}` } });
  try {
    const before = await server.figures('collect');
    const answers = await many(streams, () => open(server.port));
    const after = await server.figures('collect');
    const from = performance.now();
    const end = ended(server.child, server.output).then(({ code }) => ({
      code,
      ms: performance.now() - from,
    }));
    if (why === 'SIGTERM') server.child.kill(why);
    else server.child.send('throw');
    const delays = await Promise.all(
      answers.map(async (closed) => {
        const text = await closed();
        const delay = /\n\nretry: (\d+)\n\n$/.exec(body(text))?.[1];
        if (delay === undefined) throw new Error(`stream: expected a retry at its end, found ${text}`);
        return delay;
      }),
    );
    const { code, ms } = await end;
    same('exit code', code, ENDS[why].code);
    same(`standard error as expected: ${server.errors()}`, ENDS[why].errors.test(server.errors()), true);
    atMost('end, ms', ms, DEADLINE_MS);
    return {
      cases: streams,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `${why}: ended with ${code} after ${Math.round(ms)} ms, ${delays.length} streams got a retry, ${new Set(delays).size} different; heap before and with the streams`,
    };
  } finally {
    await server.stop();
  }
}

/** Opens a stream. Returns what waits for its end, and gives all that was received. */
async function open(port: number): Promise<() => Promise<string>> {
  const socket = await send(port, request('GET', '/count'));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const closed = happens(socket, 'close').then(() => text);
  await Promise.race([happens(socket, 'data'), closed]);
  return () => closed;
}
