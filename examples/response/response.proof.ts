import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { EdgeRuntime } from 'edge-runtime';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { EventStream, EventStreamOptions, Source } from '../../server/eventStream.ts';
import { launch, listening, type ServerProcess } from '../../test/support/processes.ts';
import { eventually, send } from '../../test/support/testServer.ts';
import { wireChecks } from '../../test/support/wireChecks.ts';
import { eventStreamResponse } from './eventStreamResponse.ts';
import { responseChecks } from './responseChecks.ts';
import { bundleNumbers } from './bundleNumbers.ts';
import { numbers } from './runtimes/numbers.ts';

// In other runtimes: runtimes.proof.ts.
describe('the counter on Hono', () => {
  let server: ServerProcess | undefined;
  beforeAll(async () => {
    const command = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'server.ts')];
    server = await listening(launch(command, { env: { PORT: '0', TICK_MS: '10' } }));
  });
  afterAll(() => server?.stop());
  wireChecks(() => `http://127.0.0.1:${server?.port}`);
});

describe('Hono on Node', () => {
  let hono: Awaited<ReturnType<typeof serveHono>> | undefined;
  beforeAll(async () => {
    hono = await serveHono(numbers);
  });
  afterAll(() => hono?.close());
  responseChecks((query, init) => fetch(`http://127.0.0.1:${hono?.port}/${query}`, init));

  test('a burst of one turn reaches the client, whatever its size', async () => {
    const text = 'x'.repeat(50_000);
    const { port, close } = await serveHono((request) =>
      eventStreamResponse(request, (stream) => {
        for (let n = 1; n <= 100; n += 1) stream.send({ id: n, data: text });
        stream.finish();
      }),
    );
    onTestFinished(close);
    const received = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(received).toMatch(/^retry: \d+\n\n/);
    expect(received.match(/^id: \d+$/gm)).toHaveLength(100);
    expect(received).toMatch(/event: end\ndata: \n\n$/);
  });

  test('a client that reads nothing is dropped before it costs much memory', async () => {
    let sent = 0;
    let signal: AbortSignal | undefined;
    const { port, close } = await serveHono((request) =>
      eventStreamResponse(request, (stream) => {
        signal = stream.signal;
        const timer = setInterval(() => {
          stream.send({ data: 'x'.repeat(4000) });
          sent += 4000;
        }, 0);
        return () => clearInterval(timer);
      }),
    );
    onTestFinished(close);
    send(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n').socket.pause();
    await eventually(() => signal?.aborted);
    expect(sent).toBeLessThan(20_000_000); // what the buffers of both kernels hold, and a little
  });
});

describe('an edge runtime, where there is no Node', () => {
  let runtime: EdgeRuntime | undefined;
  beforeAll(async () => {
    const code = await bundleNumbers('addEventListener("fetch", (e) => e.respondWith(numbers(e.request)));');
    runtime = new EdgeRuntime({ initialCode: code });
  });
  responseChecks(
    async (query, init) =>
      (await runtime?.dispatchFetch(`http://localhost/${query}`, init as object)) as unknown as Response,
  );
});

describe('a stream', () => {
  test('has a source only when its body is read', async () => {
    const source = vi.fn<Source>();
    const unread = eventStreamResponse(new Request('http://localhost'), source);
    await turn();
    expect(source).not.toHaveBeenCalled();
    await unread.body?.cancel();
    const left = AbortSignal.abort();
    expect(await eventStreamResponse(new Request('http://localhost', { signal: left }), source).text()).toBe(
      '',
    );
    expect(source).not.toHaveBeenCalled();
  });

  test.each([
    ['cancels the body', (_leaving: AbortController, { reader }: Opened) => void reader.cancel()],
    ['aborts the request', (leaving: AbortController) => leaving.abort()],
  ])('ends when the server %s', async (_how, leave) => {
    const leaving = new AbortController();
    const stop = vi.fn();
    const opened = await open(() => stop, {}, leaving.signal);
    expect(opened.stream.signal.aborted).toBe(false);
    leave(leaving, opened);
    await turn();
    expect(opened.stream.signal.aborted).toBe(true);
    expect(stop).toHaveBeenCalledTimes(1);
    opened.stream.send({ data: 'too late' });
    opened.stream.finish();
    await opened.stream.ready();
    expect(stop).toHaveBeenCalledTimes(1);
    expect(await opened.rest()).toBe('');
  });

  test('has a reconnection time of its own', async () => {
    const delays = await Promise.all(Array.from({ length: 20 }, () => reconnectionTime(1000)));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(500);
    expect(Math.max(...delays)).toBeLessThanOrEqual(1500);
    expect(new Set(delays).size).toBeGreaterThan(10);
    expect(await reconnectionTime(2 ** 31 - 1)).toBeLessThan(2 ** 31);
  });

  test.each([{ reconnectionTimeMs: -1 }, { heartbeatMs: Infinity }, { heartbeatMs: NaN }])(
    'refuses %o at once',
    (options) => {
      const request = new Request('http://localhost');
      expect(() => eventStreamResponse(request, () => {}, options)).toThrow(RangeError);
    },
  );

  test.each<[string, (stream: EventStream) => void, boolean, string]>([
    ['finish', (stream) => stream.finish(), true, 'event: end\ndata: \n\n'],
    ['finish without control events', (stream) => stream.finish(), false, ''],
    ['reconnectAfter', (stream) => stream.reconnectAfter(42), true, 'retry: 42\n\n'],
  ])('ends by %s', async (_name, close, controlEvents, last) => {
    const stop = vi.fn();
    const source = (stream: EventStream) => {
      stream.send({ id: 1, data: 'a\nb' });
      close(stream);
      stream.send({ data: 'too late' });
      return stop;
    };
    const { received, rest } = await open(source, { controlEvents });
    expect((received + (await rest())).replace(/^retry: \d+\n\n/, '')).toBe(
      `id: 1\ndata: a\ndata: b\n\n${last}`,
    );
    expect(stop).toHaveBeenCalledTimes(1);
  });

  test('ends with its async source', async () => {
    const { received, rest } = await open(async (stream) => {
      for (const data of ['a', 'b']) {
        stream.send({ data });
        await stream.ready();
      }
    });
    expect(received + (await rest())).toMatch(/data: a\n\ndata: b\n\nevent: end\ndata: \n\n$/);
  });

  test.each<[string, Source]>([
    [
      'throws',
      () => {
        throw new Error('of the source');
      },
    ],
    ['rejects', () => Promise.reject(new Error('of the source'))],
    ['sends what does not fit', (stream) => stream.send({ id: 'of\nthe source', data: '' })],
    ['returns what is none', (() => 'of the source') as unknown as Source],
  ])('is cut when its source %s, and that is logged once', async (_what, source) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => log.mockRestore());
    const answer = eventStreamResponse(new Request('http://localhost'), source);
    await expect(answer.text()).rejects.toThrow(/of.*the source/);
    expect(log).toHaveBeenCalledTimes(1);
  });

  test('ignores what its source throws because the client has left', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => log.mockRestore());
    const { reader } = await open(async ({ signal }) => {
      await once(signal, 'abort');
      throw signal.reason;
    });
    await reader.cancel();
    await turn();
    expect(log).not.toHaveBeenCalled();
  });

  test('logs what its stop throws', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => log.mockRestore());
    const { reader } = await open(() => () => {
      throw new Error('of stop');
    });
    await reader.cancel();
    await turn();
    expect(log).toHaveBeenCalledExactlyOnceWith(new Error('of stop'));
  });

  test('that is behind from one turn to another ends after what was sent', async () => {
    const { stream, rest } = await open(() => {});
    const data = 'x'.repeat(1000);
    for (let n = 1; n <= 100; n += 1) stream.send({ id: n, data }); // a burst
    await turn();
    for (let n = 101; n <= 200; n += 1) stream.send({ id: n, data });
    expect(stream.signal.aborted).toBe(true);
    const ids = [...(await rest()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => i + 1));
    expect(ids.length).toBeGreaterThanOrEqual(100 + 8);
    expect(ids.length).toBeLessThanOrEqual(100 + 9);
  });

  test('that has caught up may have a burst again', async () => {
    const { stream, reader } = await open(() => {});
    for (let round = 0; round < 3; round += 1) {
      for (let n = 1; n <= 100; n += 1) stream.send({ data: 'x'.repeat(1000) });
      await turn();
      for (let n = 1; n <= 100; n += 1) await reader.read();
    }
    expect(stream.signal.aborted).toBe(false);
  });

  test('tells all who wait when there is room, in a later turn', async () => {
    const { stream, reader } = await open(() => {});
    let ready = 0;
    const wait = (): void => void stream.ready().then(() => (ready += 1));
    wait();
    await Promise.resolve();
    expect(ready).toBe(0);
    await turn();
    expect(ready).toBe(1);

    for (let n = 1; n <= 10; n += 1) stream.send({ data: 'x'.repeat(1000) });
    for (let n = 1; n <= 5; n += 1) wait();
    await turn();
    await turn();
    expect(ready).toBe(1);
    for (let n = 1; n <= 10; n += 1) await reader.read();
    void reader.read();
    await eventually(() => ready === 6);

    stream.send({ data: 'x' });
    for (let n = 1; n <= 10; n += 1) stream.send({ data: 'x'.repeat(1000) });
    for (let n = 1; n <= 5; n += 1) wait();
    await turn();
    expect(ready).toBe(6);
    stream.finish(); // closed
    await eventually(() => ready === 11);
  });

  test('that awaits ready in a loop leaves the event loop to others', async () => {
    let sent = 0;
    const { reader } = await open(async (stream) => {
      for (; !stream.signal.aborted; sent += 1) {
        stream.send({ data: sent });
        await stream.ready();
      }
    });
    const reading = (async () => {
      while (!(await reader.read()).done);
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await reader.cancel();
    await reading;
    expect(sent).toBeGreaterThan(2);
  });

  test('sends heartbeats only to a client that reads, and after a silence', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { stream, reader } = await open(() => {}, { heartbeatMs: 1000 });
    const decoder = new TextDecoder();
    const next = async (): Promise<string> => decoder.decode((await reader.read()).value);

    vi.advanceTimersByTime(900);
    stream.comment('not silent');
    expect(await next()).toBe(': not silent\n\n');
    vi.advanceTimersByTime(900);
    vi.advanceTimersByTime(5000);
    expect(await next()).toBe('event: heartbeat\ndata: \n\n');
    stream.finish();
    expect(await next()).toBe('event: end\ndata: \n\n');
    expect(vi.getTimerCount()).toBe(0);

    await open(() => {}, { heartbeatMs: 0 });
    expect(vi.getTimerCount()).toBe(0);
    const silent = await open(() => {}, { heartbeatMs: 1000, controlEvents: false });
    vi.advanceTimersByTime(1000);
    expect(new TextDecoder().decode((await silent.reader.read()).value)).toBe(': \n\n');
    await silent.reader.cancel();
    expect(vi.getTimerCount()).toBe(0);
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Opened {
  stream: EventStream;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What has been read: the reconnection time. */
  received: string;
  /** All that follows. */
  rest(): Promise<string>;
}

/** A stream whose body is read up to the reconnection time. */
async function open(source: Source, options?: EventStreamOptions, signal?: AbortSignal): Promise<Opened> {
  let stream: EventStream | undefined;
  const watched: Source = (opened) => source((stream = opened));
  const request = new Request('http://localhost', signal ? { signal } : {});
  const { body } = eventStreamResponse(request, watched, options);
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  onTestFinished(() => reader.cancel());
  const decoder = new TextDecoder();
  const received = decoder.decode((await reader.read()).value);
  if (!stream) throw new Error('expected a source that has started');
  async function rest(): Promise<string> {
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  }
  return { stream, reader, received, rest };
}

/** What a stream says of it, when this is asked for. */
async function reconnectionTime(reconnectionTimeMs: number): Promise<number> {
  const { received } = await open(() => {}, { reconnectionTimeMs });
  return Number(/^retry: (\d+)\n\n$/.exec(received)?.[1]);
}

/** Serves a handler with Hono on a free port. */
async function serveHono(
  handler: (request: Request) => Response,
): Promise<{ port: number; close: () => Promise<void> }> {
  const app = new Hono().get('/', (c) => handler(c.req.raw));
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as AddressInfo).port, close };
}
