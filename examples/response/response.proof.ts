import { once } from 'node:events';
import { join } from 'node:path';
import { EdgeRuntime } from 'edge-runtime';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi, type MockInstance } from 'vitest';
import type { EventStream, EventStreamOptions, Source } from '../../server/eventStream.ts';
import { bundle } from '../../test/support/bundle.ts';
import { launch, listening, type ServerProcess } from '../../test/support/processes.ts';
import { wireChecks } from '../../test/support/wireChecks.ts';
import { eventStreamResponse } from './eventStreamResponse.ts';
import { responseChecks, serves } from './responseChecks.ts';

const node = [process.execPath, '--import', 'tsx'];

describe('the counter on Hono', () => {
  let server: ServerProcess | undefined;
  beforeAll(async () => {
    const command = [...node, join(import.meta.dirname, 'server.ts')];
    server = await listening(launch(command, { env: { PORT: '0', HOST: '127.0.0.1', TICK_MS: '10' } }));
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
    await eventStreamResponse(new Request('http://localhost'), source).body?.cancel();
    const left = new Request('http://localhost', { signal: AbortSignal.abort() });
    expect(await eventStreamResponse(left, source).text()).toBe('');
    expect(source).not.toHaveBeenCalled();
  });

  test.each([
    { aborts: true, cancels: false },
    { aborts: false, cancels: true },
    { aborts: true, cancels: true },
  ])('ends once when the server leaves it: %o', async ({ aborts, cancels }) => {
    const leaving = new AbortController();
    const stop = vi.fn();
    const opened = await open(() => stop, {}, leaving.signal);
    opened.stream.send({ data: 'unread' });
    expect(opened.stream.signal.aborted).toBe(false);
    if (aborts) leaving.abort();
    if (cancels) void opened.reader.cancel();
    opened.stream.send({ data: 'too late' });
    await opened.stream.ready();
    expect(opened.stream.signal.aborted).toBe(true);
    expect(stop).toHaveBeenCalledTimes(1);
    expect(await opened.rest()).not.toContain('late');
  });

  test.each([{ reconnectionTimeMs: -1 }, { heartbeatMs: NaN }])('refuses %o at once', (options) => {
    const request = new Request('http://localhost');
    expect(() => eventStreamResponse(request, () => {}, options)).toThrow(RangeError);
  });

  test.each<[string, Source, EventStreamOptions, string]>([
    ['finish', (stream) => stream.finish(), {}, 'event: end\ndata: \n\n'],
    ['finish without control events', (stream) => stream.finish(), { controlEvents: false }, ''],
    ['reconnectAfter', (stream) => stream.reconnectAfter(42), {}, 'retry: 42\n\n'],
    ['an async source', (stream) => stream.ready(), {}, 'event: end\ndata: \n\n'],
  ])('ends by %s', async (_name, end, options, last) => {
    const stop = vi.fn();
    const source: Source = (stream) => {
      stream.send({ id: 1, data: 'a\nb' });
      return end(stream) ?? stop;
    };
    const { stream, rest } = await open(source, options);
    expect(await rest()).toBe(`id: 1\ndata: a\ndata: b\n\n${last}`);
    stream.send({ data: 'too late' });
    expect(stop).toHaveBeenCalledTimes(_name === 'an async source' ? 0 : 1);
  });

  test.each<[string, Source]>([
    ['throws', () => fail('of the source')],
    ['rejects', async () => fail('of the source')],
    ['sends what does not fit', (stream) => stream.send({ id: 'of\nthe source', data: '' })],
    ['returns what is none', (() => 'of the source') as unknown as Source],
  ])('is cut when its source %s, and that is logged once', async (_what, source) => {
    const log = spyOnLog();
    const answer = eventStreamResponse(new Request('http://localhost'), source);
    await expect(answer.text()).rejects.toThrow();
    expect(log).toHaveBeenCalledTimes(1);
  });

  test('logs what its stop throws, but not what its source throws because the client has left', async () => {
    const log = spyOnLog();
    const sources: Source[] = [
      () => () => fail('of stop'),
      ({ signal }) => once(signal, 'abort').then(() => fail('of the source')),
    ];
    for (const source of sources) await (await open(source)).reader.cancel();
    await turn();
    expect(log).toHaveBeenCalledExactlyOnceWith(new Error('of stop'));
  });

  test('that is behind from one turn to another ends after what was sent, unless it catches up', async () => {
    const { stream, reader, rest } = await open(() => {});
    const burst = async (length = 1000): Promise<void> => {
      for (let n = 1; n <= 100; n += 1) stream.send({ id: n, data: 'x'.repeat(length) });
      await turn();
    };
    for (const length of [100, 1000]) {
      await burst(length);
      for (let n = 1; n <= 100; n += 1) await reader.read();
    }
    await burst();
    expect(stream.signal.aborted).toBe(false);
    await burst();
    expect(stream.signal.aborted).toBe(true);
    const ids = [...(await rest()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids.slice(0, 108)).toEqual(Array.from({ length: 108 }, (_, i) => (i % 100) + 1));
    expect(ids.length).toBeLessThanOrEqual(109);
  });

  test('tells any number of waiters when there is room, in a later turn, or when it has closed', async () => {
    const { stream, reader } = await open(() => {});
    let ready = 0;
    const waiters = (): void => {
      for (let n = 1; n <= 5; n += 1) void stream.ready().then(() => (ready += 1));
    };
    waiters();
    for (let n = 1; n <= 100; n += 1) await Promise.resolve();
    expect(ready).toBe(0);
    await turn();
    expect(ready).toBe(5);
    const wait = async (): Promise<void> => {
      stream.send({ data: 'x'.repeat(10_000) });
      waiters();
      await turn();
    };
    await wait();
    expect(ready).toBe(5);
    await reader.read();
    const next = reader.read();
    await turn();
    expect(ready).toBe(10);
    stream.send({ data: 'x' });
    await next;
    await wait();
    expect(ready).toBe(10);
    stream.finish();
    await turn();
    expect(ready).toBe(15);
  });

  test('sends heartbeats only to a client that reads, and after a silence', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { stream, rest } = await open(() => {}, { heartbeatMs: 1000 });
    vi.advanceTimersByTime(900);
    stream.comment('not silent');
    vi.advanceTimersByTime(900);
    vi.advanceTimersByTime(5000); // not read
    const read = rest();
    await turn();
    vi.advanceTimersByTime(1000);
    stream.finish();
    expect(await read).toBe(': not silent\n\nevent: heartbeat\ndata: \n\nevent: end\ndata: \n\n');
    await open(() => {}, { heartbeatMs: 0 });
    expect(vi.getTimerCount()).toBe(0);
    const quiet = await open(() => {}, { heartbeatMs: 1000, controlEvents: false });
    vi.advanceTimersByTime(1000);
    quiet.stream.finish();
    expect(await quiet.rest()).toBe(': \n\n');
  });
});

/** Silences and watches the log of errors. */
function spyOnLog(): MockInstance {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return log;
}

function fail(message: string): never {
  throw new Error(message);
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
