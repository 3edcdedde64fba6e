import { once } from 'node:events';
import { join } from 'node:path';
import { EdgeRuntime } from 'edge-runtime';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi, type MockInstance } from 'vitest';
import type { EventStream, EventStreamOptions, Source } from '../../server/eventStream.ts';
import { bundle } from '../../test/support/bundle.ts';
import { launch, listening, type ServerProcess } from '../../test/support/processes.ts';
import { eventually } from '../../test/support/testServer.ts';
import { wireChecks } from '../../test/support/wireChecks.ts';
import { eventStreamResponse } from './eventStreamResponse.ts';
import { responseChecks, serves } from './responseChecks.ts';

const node = [process.execPath, '--import', 'tsx'];

describe('the counter on Hono', () => {
  let server: ServerProcess | undefined;
  beforeAll(async () => {
    const command = [...node, join(import.meta.dirname, 'server.ts')];
    server = await listening(launch(command, { env: { PORT: '0', TICK_MS: '10' } }));
  });
  afterAll(() => server?.stop());
  wireChecks(() => `http://127.0.0.1:${server?.port}`);
});

// Others: runtimes.proof.ts.
serves('Hono on Node', '/', () =>
  listening(launch([...node, join(import.meta.dirname, 'runtimes', 'hono.js')])),
);

describe('an edge runtime, where there is no Node', () => {
  let runtime: EdgeRuntime | undefined;
  beforeAll(async () => {
    runtime = new EdgeRuntime({ initialCode: await bundle(join(import.meta.dirname, 'runtimes/edge.js')) });
  });
  responseChecks(
    async (query, init) =>
      (await runtime?.dispatchFetch(`http://localhost/${query}`, init as object)) as unknown as Response,
  );
});

describe('a stream', () => {
  test('has a source only when its body is read, and the client is still there', async () => {
    const source = vi.fn<Source>();
    const unread = eventStreamResponse(new Request('http://localhost'), source);
    await turn();
    await unread.body?.cancel();
    const left = new Request('http://localhost', { signal: AbortSignal.abort() });
    expect(await eventStreamResponse(left, source).text()).toBe('');
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
    opened.stream.send({ data: 'too late' });
    opened.stream.finish();
    await opened.stream.ready();
    expect(opened.stream.signal.aborted).toBe(true);
    expect(stop).toHaveBeenCalledTimes(1);
    expect(await opened.rest()).toBe('');
  });

  test.each([{ reconnectionTimeMs: -1 }, { heartbeatMs: Infinity }, { heartbeatMs: NaN }])(
    'refuses %o at once',
    (options) => {
      const request = new Request('http://localhost');
      expect(() => eventStreamResponse(request, () => {}, options)).toThrow(RangeError);
    },
  );

  test.each<[string, Source, boolean, string, number]>([
    ['finish', (stream) => stream.finish(), true, 'event: end\ndata: \n\n', 1],
    ['finish without control events', (stream) => stream.finish(), false, '', 1],
    ['reconnectAfter', (stream) => stream.reconnectAfter(42), true, 'retry: 42\n\n', 1],
    ['an async source', (stream) => stream.ready(), true, 'event: end\ndata: \n\n', 0],
  ])('ends by %s', async (_name, end, controlEvents, last, stops) => {
    const stop = vi.fn();
    const source: Source = (stream) => {
      stream.send({ id: 1, data: 'a\nb' });
      return end(stream) ?? stop;
    };
    const { stream, rest } = await open(source, { controlEvents });
    expect(await rest()).toBe(`id: 1\ndata: a\ndata: b\n\n${last}`);
    stream.send({ data: 'too late' });
    expect(stream.signal.aborted).toBe(true);
    expect(stop).toHaveBeenCalledTimes(stops);
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
    const log = spyOnLog();
    const answer = eventStreamResponse(new Request('http://localhost'), source);
    await expect(answer.text()).rejects.toThrow(/of.*the source/);
    expect(log).toHaveBeenCalledTimes(1);
  });

  test('logs what its stop throws, but not what its source throws because the client has left', async () => {
    const log = spyOnLog();
    const sources: Source[] = [
      () => () => {
        throw new Error('of stop');
      },
      async ({ signal }) => {
        await once(signal, 'abort');
        throw signal.reason;
      },
    ];
    for (const source of sources) await (await open(source)).reader.cancel();
    await turn();
    expect(log).toHaveBeenCalledExactlyOnceWith(new Error('of stop'));
  });

  test('that is behind from one turn to another ends after what was sent, unless it catches up', async () => {
    const { stream, reader, rest } = await open(() => {});
    const burst = (): void => {
      for (let n = 1; n <= 100; n += 1) stream.send({ id: n, data: 'x'.repeat(1000) });
    };
    for (let round = 0; round < 3; round += 1) {
      burst();
      await turn();
      for (let n = 1; n <= 100; n += 1) await reader.read();
    }
    burst();
    await turn();
    expect(stream.signal.aborted).toBe(false);
    burst();
    expect(stream.signal.aborted).toBe(true);
    const ids = [...(await rest()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids.slice(0, 108)).toEqual(Array.from({ length: 108 }, (_, i) => (i % 100) + 1));
    expect(ids.length).toBeLessThanOrEqual(109);
  });

  test('tells all who wait when there is room, in a later turn', async () => {
    const { stream, reader } = await open(() => {});
    let ready = 0;
    const wait = (): void => {
      for (let n = 1; n <= 5; n += 1) void stream.ready().then(() => (ready += 1));
    };
    const fill = (): void => {
      for (let n = 1; n <= 10; n += 1) stream.send({ data: 'x'.repeat(1000) });
    };
    wait();
    for (let n = 1; n <= 100; n += 1) await Promise.resolve();
    expect(ready).toBe(0);
    await turn();
    expect(ready).toBe(5);

    fill();
    wait();
    await turn();
    await turn();
    expect(ready).toBe(5);
    for (let n = 1; n <= 10; n += 1) await reader.read();
    const last = reader.read();
    await eventually(() => ready === 10);

    stream.send({ data: 'x' });
    await last;
    fill();
    wait();
    await turn();
    expect(ready).toBe(10);
    stream.finish();
    await eventually(() => ready === 15);
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
    stream.send({ data: 'too late' });
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

/** Silences and watches the log of errors. */
function spyOnLog(): MockInstance {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return log;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Opened {
  stream: EventStream;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  /** All that follows the reconnection time. */
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
  await reader.read();
  if (!stream) throw new Error('expected a source that has started');
  async function rest(): Promise<string> {
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  }
  return { stream, reader, rest };
}
