import { once } from 'node:events';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import type { Server } from 'node:net';
import type { Readable } from 'node:stream';
import express from 'express';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { cert, key } from '../test/support/certificate.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { eventually, listen } from '../test/support/testServer.ts';
import { openEventStream, STALLED_AFTER_MS, type EventStream, type Source } from './eventStream.ts';

afterEach(() => void vi.restoreAllMocks().useRealTimers());

/** A server of one transport, and a client for it. */
interface Transport {
  serve(source: Source): Server;
  get(port: number, method?: string): Promise<Readable>;
}

const TRANSPORTS = {
  http: {
    serve: (source) => http.createServer((req, res) => openEventStream(req, res, source)),
    get: (port) => answer(http.get({ port, host: '127.0.0.1' })),
  },
  https: {
    serve: (source) => https.createServer({ cert, key }, (req, res) => openEventStream(req, res, source)),
    get: (port) => answer(https.get({ port, host: '127.0.0.1', ca: cert })),
  },
  http2: {
    serve: secureHttp2,
    async get(port, method = 'GET') {
      const session = http2.connect(`https://localhost:${port}`, { ca: cert });
      onTestFinished(() => session.destroy());
      const stream = session.request({ ':path': '/', ':method': method });
      await once(stream, 'response');
      return stream;
    },
  },
  'http2, to a client that speaks HTTP/1.1': {
    serve: secureHttp2,
    get: (port) => answer(https.get({ port, host: '127.0.0.1', ca: cert })),
  },
} satisfies Record<string, Transport>;

function secureHttp2(source: Source): http2.Http2SecureServer {
  return http2.createSecureServer({ cert, key, allowHTTP1: true }, (req, res) =>
    openEventStream(req, res, source),
  );
}

async function answer(asked: http.ClientRequest): Promise<Readable> {
  const [message]: http.IncomingMessage[] = await once(asked, 'response');
  if (message === undefined) throw new Error('expected an answer');
  onTestFinished(() => void message.destroy());
  message.on('error', () => {}); // one that is cut
  return message;
}

/** All that comes until the end. */
async function readAll(stream: Readable): Promise<string> {
  return Buffer.concat(await stream.toArray()).toString();
}

describe.each(Object.entries<Transport>(TRANSPORTS))('over %s', (_name, { serve, get }) => {
  test('a burst of one turn arrives on one connection, and so does what follows', async () => {
    const { port } = await listen(
      serve((stream) => {
        for (let id = 1; id <= 2000; id++) stream.send({ id, data: 'x'.repeat(500) });
        const timer = setTimeout(() => {
          stream.send({ id: 2001, data: 'later' });
          stream.finish();
        });
        return () => clearTimeout(timer);
      }),
    );
    const text = await readAll(await get(port));
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(Array.from({ length: 2001 }, (_, i) => i + 1));
    expect(text).toMatch(/event: end\ndata: \n\n$/);
  });

  test('back-pressure lets through whatever a source sends', async () => {
    const { port } = await listen(
      serve(async (stream) => {
        for (let id = 1; id <= 300 && !stream.signal.aborted; id++) {
          stream.send({ id, data: 'x'.repeat(20_000) });
          await stream.ready();
        }
      }),
    );
    const text = await readAll(await get(port));
    expect(text.match(/^id: /gm)).toHaveLength(300);
  });

  test('a client that stalls is disconnected', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    let stream: EventStream | undefined;
    const { port } = await listen(serve((opened) => void (stream = opened)));
    const client = await get(port);
    client.on('error', () => {}); // Node 26 tells HTTP/2's client of the cut
    client.pause();
    await eventually(() => stream !== undefined);
    stream?.send({ data: 'x'.repeat(8_000_000) });
    const full = stream?.ready();
    await new Promise(setImmediate);
    vi.advanceTimersByTime(STALLED_AFTER_MS + 30_000);
    await full;
    await eventually(() => stream?.signal.aborted);
  });

  test('a burst may follow a burst, once the client has read it', async () => {
    const { port } = await listen(
      serve(async (stream) => {
        for (const size of [30_000, 300_000]) {
          for (let sent = 0; sent < size; sent += 1000) stream.send({ data: 'x'.repeat(1000) });
          await stream.ready();
        }
        stream.send({ data: 'on' });
      }),
    );
    const text = await readAll(await get(port));
    expect(text).toMatch(/data: on\n\nevent: end\ndata: \n\n$/);
  });

  test('a crash of the source is not taken for the end', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    const { port } = await listen(
      serve(async (stream) => {
        stream.send({ data: 'half' });
        await stream.ready();
        throw new Error('broken on purpose');
      }),
    );
    await expect(readAll(await get(port))).rejects.toThrow();
    expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'broken on purpose' }));
  });

  test('a client that leaves aborts the signal', async () => {
    let stream: EventStream | undefined;
    const { port } = await listen(serve((opened) => void (stream = opened)));
    const client = await get(port);
    await eventually(() => stream !== undefined);
    client.destroy();
    await eventually(() => stream?.signal.aborted);
    stream?.send({ data: 'too late' });
  });
});

test('HEAD over HTTP/2 ends', async () => {
  const { serve, get } = TRANSPORTS.http2;
  const { port } = await listen(serve(() => {}));
  expect(await readAll(await get(port, 'HEAD'))).toBe('');
});

test('an HTTP/1.0 client gets a body that the end of the connection ends', async () => {
  const server = await listen((req, res) =>
    openEventStream(req, res, (stream) => {
      stream.send({ data: 'all' });
      stream.finish();
    }),
  );
  const text = await server.send('GET / HTTP/1.0\r\n\r\n').closed;
  expect(text).not.toContain('Transfer-Encoding');
  expect(body(text)).toMatch(/^retry: \d+\n\ndata: all\n\nevent: end\ndata: \n\n$/);
});

describe('under a middleware that wraps res.write and res.end', () => {
  const wrapped: [string, (res: http.ServerResponse, app: express.Express) => object][] = [
    ['the response', (res) => res],
    ['Express’s own prototype', (_res, app) => app.response],
    ['the prototype of all responses', () => http.ServerResponse.prototype],
  ];

  test.each(wrapped)('of %s, every byte is counted', async (_what, owner) => {
    let bytes = 0;
    const app = express();
    app.use((_req, res, next) => {
      const target = owner(res, app);
      const { write, end } = res;
      const own = Object.getOwnPropertyDescriptors(target);
      onTestFinished(() => {
        if (!own['write']) Reflect.deleteProperty(target, 'write');
        Object.defineProperties(target, own);
      });
      Object.assign(target, {
        write(this: http.ServerResponse, ...given: Parameters<typeof write>) {
          bytes += Buffer.byteLength(String(given[0] ?? ''));
          return write.apply(this, given);
        },
        end(this: http.ServerResponse, ...given: Parameters<typeof end>) {
          bytes += Buffer.byteLength(String(given[0] ?? ''));
          return end.apply(this, given);
        },
      });
      next();
    });
    app.get('/', (req, res) =>
      openEventStream(req, res, (stream) => {
        for (let id = 1; id <= 100; id++) stream.send({ id, data: 'straße' });
        stream.finish();
      }),
    );
    const text = body(await (await listen(app)).send(request('GET', '/', 'Connection: close')).closed);
    expect(bytes).toBe(Buffer.byteLength(text));
    expect(text.match(/straße/g)).toHaveLength(100);
  });
});
