import { once } from 'node:events';
import {
  Agent,
  createServer,
  get,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  formatMessage,
  lastEventId,
  MAX_BUFFERED_BYTES,
  openEventStream,
  STALLED_AFTER_MS,
  type EventStream,
  type EventStreamOptions,
  type Source,
} from './eventStream.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { eventually, listen } from '../test/support/testServer.ts';

const GET = request('GET', '/', 'Connection: close');
const PIPELINED = request('GET', '/');
const KILOBYTE = 'x'.repeat(1000);

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5); // so that each reconnection time is 1000 ms
});
afterEach(() => void vi.restoreAllMocks().useRealTimers());

/** A server whose streams are fed by the test. */
class Streams {
  readonly opened: EventStream[] = [];
  readonly responses: ServerResponse[] = [];
  /** Called when a stream has closed. */
  readonly stop = vi.fn<() => void>();
  readonly #options: EventStreamOptions;

  constructor(options: EventStreamOptions = {}) {
    this.#options = options;
  }

  readonly listener = (req: IncomingMessage, res: ServerResponse): void => {
    this.responses.push(res);
    const source = (stream: EventStream): (() => void) => {
      this.opened.push(stream);
      return this.stop;
    };
    openEventStream(req, res, source, this.#options);
  };
}

/** Opens one stream over a real socket. */
async function open(options?: EventStreamOptions) {
  const streams = new Streams(options);
  const server = await listen(streams.listener);
  const client = server.send(GET);
  await client.until('retry: 1000\n\n');
  const [stream] = streams.opened;
  const [res] = streams.responses;
  if (!stream || !res) throw new Error('expected an open stream');
  return { client, stream, res, stop: streams.stop };
}

/** Runs one source over a real socket. Gives all that its client got. */
async function run(source: Source, options?: EventStreamOptions): Promise<string> {
  const server = await listen((req, res) => openEventStream(req, res, source, options));
  return body(await server.send(GET).closed);
}

/** Streams opened from here on have timers that only `vi.advanceTimersByTime` moves. */
function useFakeTimers(): void {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
}

/** What libuv has not handed over yet: it shrinks while a single large write is being read. */
function queued({ socket }: ServerResponse): number {
  return socket ? (Reflect.get(socket, '_handle')?.writeQueueSize ?? 0) : 0;
}

/** Sends until the client's backlog is as large as this. */
async function fill(res: ServerResponse, backlog: number, send: () => void): Promise<void> {
  while (res.writableLength < backlog) {
    send();
    await new Promise(setImmediate);
  }
}

describe('formatMessage', () => {
  test.each([
    [{ data: 'one' }, 'data: one\n\n'],
    [{ data: 7 }, 'data: 7\n\n'],
    [{ id: 7, data: 7 }, 'id: 7\ndata: 7\n\n'],
    [{ id: 0, data: 0 }, 'id: 0\ndata: 0\n\n'],
    [{ event: 'ping', id: 'a', data: 'b' }, 'event: ping\nid: a\ndata: b\n\n'],
    [{ data: '' }, 'data: \n\n'],
    [{ data: 'a\nb\r\nc\rd' }, 'data: a\ndata: b\ndata: c\ndata: d\n\n'],
    [{ data: '\n' }, 'data: \ndata: \n\n'],
    [{ data: ' leading space' }, 'data:  leading space\n\n'],
    [{ data: '$& $1 𝄞' }, 'data: $& $1 𝄞\n\n'],
  ])('writes %j', (message, text) => {
    expect(formatMessage(message)).toBe(text);
  });

  test.each(['a\nb', 'a\rb', 'a\r\nb', 'a\0b', 'a\x01b', 'a\x7f', '', ' a', 'a ', ' '])(
    'refuses %j as an id or an event',
    (value) => {
      const found = `expected one line of text without spaces around it, or a number, found ${JSON.stringify(value)}`;
      expect(() => formatMessage({ id: value, data: '' })).toThrow(new TypeError(`id: ${found}`));
      expect(() => formatMessage({ event: value, data: '' })).toThrow(new TypeError(`event: ${found}`));
    },
  );

  test.each(['open', 'error', 'end'])('refuses the event %s, which means something else', (event) => {
    expect(() => formatMessage({ event, data: '' })).toThrow(TypeError);
  });
});

describe('an open stream', () => {
  test('sends messages and comments in order and byte for byte; every line of a comment is one', async () => {
    const { client, stream } = await open();
    stream.send({ event: 'note', id: 1, data: 'straße\nb' });
    stream.comment('');
    stream.comment('a\r\ndata: b\rc\n');
    stream.send({ data: 'heard' });
    await client.until('heard\n\n');
    const note = 'event: note\nid: 1\ndata: straße\ndata: b\n\n';
    const comments = ': \n\n: a\n: data: b\n: c\n: \n\n';
    expect(body(client.received())).toBe(`retry: 1000\n\n${note}${comments}data: heard\n\n`);
  });

  test.each<[string, (stream: EventStream) => void, string]>([
    ['finish() sends the event that', (stream) => stream.finish(), 'event: end\ndata: \n\n'],
    ['reconnectAfter() sends the time that', (stream) => stream.reconnectAfter(1234.5), 'retry: 1235\n\n'],
  ])('by %s tells its client what to do, ends it, and stops its source once', async (_how, end, last) => {
    const { client, stream, res, stop } = await open();
    stream.send({ data: 'last' });
    // As express-session does, which saves first.
    vi.spyOn(res, 'end').mockImplementationOnce((text) => (setImmediate(() => res.end(text)), res));
    end(stream);
    stream.send({ data: 'too late' });
    stream.comment('too late');
    stream.reconnectAfter(0);
    expect(body(await client.closed)).toBe(`retry: 1000\n\ndata: last\n\n${last}`);
    stream.send({ data: 'much too late' });
    stream.finish();
    expect(res.errored).toBeNull();
    expect(stop).toHaveBeenCalledOnce();
  });

  test('takes the longest reconnection time, whatever its random part', async () => {
    vi.mocked(Math.random).mockReturnValue(0.99);
    const text = await run((stream) => stream.finish(), { reconnectionTimeMs: 2 ** 31 - 1 });
    expect(text).toMatch(/^retry: 2147483647\n\n/);
  });

  test('writes nothing behind a response that the app has ended itself', async () => {
    const { client, stream, res } = await open();
    res.end();
    stream.send({ data: 'stray' });
    expect(await client.closed).toMatch(/\r\n0\r\n\r\n$/);
  });

  test('stops its source once when the client leaves, keeps no timer, and takes no harm when that sends on', async () => {
    useFakeTimers();
    const { client, res, stream, stop } = await open();
    expect(vi.getTimerCount()).toBe(1);
    client.socket.destroy();
    await once(res, 'close');
    expect(stop).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
    expect(stream.signal.aborted).toBe(true); // also when it is asked for only now
    stream.send({ data: 'too late' });
    stream.finish();
    await new Promise(setImmediate);
    expect(stop).toHaveBeenCalledOnce();
  });

  test('is not opened for a client that left before its request was looked at', async () => {
    const streams = new Streams();
    const requests: [IncomingMessage, ServerResponse][] = [];
    const server = await listen((req, res) => void requests.push([req, res]));
    const client = server.send(GET);
    await eventually(() => requests.length === 1);
    const [[req, res] = []] = requests;
    if (!req || !res) throw new Error('expected a request');
    client.socket.destroy();
    await once(res, 'close');
    streams.listener(req, res);
    await new Promise(setImmediate);
    expect(streams.opened).toEqual([]);
  });
});

describe('a reader that falls behind', () => {
  test('gets its backlog and is disconnected when that grows beyond the documented limit', async () => {
    const { client, stream, res, stop } = await open();
    client.socket.pause();
    await fill(res, 1, () => stream.send({ data: KILOBYTE.repeat(4) }));
    while (!res.writableEnded) {
      stream.send({ data: KILOBYTE });
      await new Promise(setImmediate);
    }
    expect(res.writableLength).toBeGreaterThan(MAX_BUFFERED_BYTES);
    expect(res.writableLength).toBeLessThanOrEqual(2 * MAX_BUFFERED_BYTES + 3 * 1100);
    client.socket.resume();
    expect(body(await client.closed)).toMatch(/^retry: 1000\n\n(data: (x{1000})+\n\n)+$/);
    expect(stop).toHaveBeenCalledOnce();
  });

  test.each(['silent', 'that sends on', 'that has ended'])(
    'is disconnected when it reads nothing for the documented time, of a stream %s',
    async (kind) => {
      useFakeTimers();
      const { client, stream, res, stop } = await open({ heartbeatMs: 10_000 });
      client.socket.pause();
      await fill(res, 1, () => stream.send({ data: KILOBYTE }));
      if (kind === 'that has ended') stream.finish();
      for (let ms = 1000; ms < STALLED_AFTER_MS; ms += 1000) {
        if (kind === 'that sends on') stream.send({ data: 'in vain' });
        vi.advanceTimersByTime(1000);
      }
      expect(res.destroyed).toBe(false);
      vi.advanceTimersByTime(10_000); // its timer began some way into the first second
      expect(res.destroyed).toBe(true);
      await eventually(() => stop.mock.calls.length === 1);
    },
  );

  test.each([
    ['one message', 1],
    ['many messages', 8000],
  ])('stays connected while it reads, however slowly it reads a burst of %s', async (_what, messages) => {
    useFakeTimers();
    const { client, stream, res } = await open({ heartbeatMs: 0 });
    client.socket.pause();
    for (let n = 0; n < messages; n += 1) stream.send({ data: 'x'.repeat(7_000_000 / messages) });
    for (let before = queued(res); before > 0; before = queued(res)) {
      client.socket.resume();
      await eventually(() => queued(res) < before);
      client.socket.pause();
      vi.advanceTimersByTime(STALLED_AFTER_MS);
      expect(res.destroyed).toBe(false);
    }
    client.socket.resume();
    await eventually(() => res.writableLength === 0);
    stream.send({ data: 'on' });
    await client.until('data: on\n\n');
  });

  test('lets its source wait, in a dozen places at a time, until it has room for more', async () => {
    const warned = vi.fn<(warning: Error) => void>();
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const { client, stream, res } = await open();
    client.socket.pause();
    let isDone = false;
    const done = (async () => {
      for (let id = 1; id <= 400; id++) {
        stream.send({ id, data: KILOBYTE.repeat(20) });
        await Promise.all(Array.from({ length: 12 }, () => stream.ready()));
      }
      isDone = true;
    })();
    await eventually(() => res.writableLength > MAX_BUFFERED_BYTES);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    expect(isDone).toBe(false);
    expect(res.writableLength).toBeLessThan(MAX_BUFFERED_BYTES + 21_000);
    client.socket.resume();
    await done;
    await client.until('id: 400\n');
    const ids = [...body(client.received()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
    expect(warned).not.toHaveBeenCalled();
  });

  test('gets all that was sent before it closed its side, and nothing later is an error', async () => {
    const log = vi.spyOn(console, 'error');
    const { client, stream, res } = await open();
    client.socket.pause();
    stream.send({ data: 'x'.repeat(7_000_000) });
    client.socket.end();
    await eventually(() => res.socket?.writable === false);
    stream.send({ data: 'too late' });
    await stream.ready();
    client.socket.resume();
    expect(body(await client.closed)).toBe(`retry: 1000\n\ndata: ${'x'.repeat(7_000_000)}\n\n`);
    expect(log).not.toHaveBeenCalled();
  });
});

describe('a silent stream', () => {
  test('sends a heartbeat when nothing has been sent for the time that is set', async () => {
    useFakeTimers();
    const { client, stream } = await open({ heartbeatMs: 15_000 });
    vi.advanceTimersByTime(10_000);
    stream.send({ data: 1 }); // puts the heartbeat off
    vi.advanceTimersByTime(14_999);
    stream.send({ data: 2 });
    vi.advanceTimersByTime(30_000);
    stream.send({ data: 3 });
    await client.until('data: 3\n\n');
    const heartbeat = 'event: heartbeat\ndata: \n\n';
    const messages = `data: 1\n\ndata: 2\n\n${heartbeat}${heartbeat}data: 3\n\n`;
    expect(body(client.received())).toBe(`retry: 1000\n\n${messages}`);
  });

  test.each([
    ['nothing if told so', { heartbeatMs: 0 }, 'event: end\ndata: \n\n'],
    ['only comments where clients parse every event', { controlEvents: false }, ': \n\n: \n\n'],
  ])('sends %s', async (_what, options, rest) => {
    useFakeTimers();
    const { client, stream } = await open(options);
    vi.advanceTimersByTime(30_000);
    stream.finish();
    expect(body(await client.closed)).toBe(`retry: 1000\n\n${rest}`);
  });
});

describe('the app’s own timeouts', () => {
  const owners: [string, (req: IncomingMessage, res: ServerResponse, ms: number, cut: () => void) => void][] =
    [
      ['res.setTimeout', (_req, res, ms, cut) => res.setTimeout(ms, cut)],
      ['req.setTimeout', (req, _res, ms, cut) => req.setTimeout(ms, cut)],
      ['server.setTimeout', (req, _res, ms, cut) => req.socket.setTimeout(ms).once('timeout', cut)],
    ];

  test.each(owners)('of %s are not called for a heartbeat', async (_name, set) => {
    const cut = vi.fn<() => void>();
    let socket: Socket | undefined;
    const server = await listen((req, res) => {
      socket = req.socket;
      set(req, res, 20_000, cut);
      openEventStream(req, res, () => {}, { heartbeatMs: 20 });
    });
    await server.send(GET).until(/(event: heartbeat\ndata: \n\n[^]*){3}/);
    expect(cut).not.toHaveBeenCalled();
    expect(socket?.timeout).toBe(20_000);
  });

  test.each(owners)(
    'of %s are called for a stream that is more silent than they allow',
    async (_name, set) => {
      const server = await listen((req, res) => {
        set(req, res, 50, () => res.destroy());
        openEventStream(req, res, () => {}, { heartbeatMs: 0 });
      });
      expect(body(await server.send(GET).closed)).toBe('retry: 1000\n\n');
    },
  );

  test('such as server.setTimeout without a callback cut it, too', async () => {
    const server = createServer((req, res) => openEventStream(req, res, () => {}, { heartbeatMs: 0 }));
    const { send } = await listen(server.setTimeout(50));
    expect(body(await send(GET).closed)).toBe('retry: 1000\n\n');
  });
});

test.each<[string, (stream: EventStream) => void]>([
  ['finish()', (stream) => stream.finish()],
  ['reconnectAfter()', (stream) => stream.reconnectAfter(0)],
])('the connection of a stream that has ended by %s takes the next request', async (_name, end) => {
  const { port } = await listen((req, res) => openEventStream(req, res, end));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const ports = new Set<number | undefined>();
  for (let n = 0; n < 3; n += 1) {
    const [answer] = (await once(get({ port, agent }), 'response')) as [IncomingMessage];
    ports.add(answer.socket.localPort);
    await once(answer.resume(), 'end');
  }
  expect(ports.size).toBe(1);
});

describe('an async source', () => {
  test('is the whole life of its stream: when it resolves, the stream finishes', async () => {
    const text = await run(async (stream) => {
      for (const token of ['Less ', 'is ', 'more.']) {
        await new Promise(setImmediate);
        stream.send({ data: token });
      }
    });
    const messages = 'data: Less \n\ndata: is \n\ndata: more.\n\n';
    expect(text).toBe(`retry: 1000\n\n${messages}event: end\ndata: \n\n`);
  });

  test('learns from the signal that its client has left, and what it throws then is ignored', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    let reason: unknown;
    const server = await listen((req, res) =>
      openEventStream(req, res, async ({ signal }) => {
        await once(signal, 'abort');
        reason = signal.reason;
        throw reason;
      }),
    );
    const client = server.send(GET);
    await client.until('retry: 1000\n\n');
    client.socket.destroy();
    await eventually(() => reason !== undefined);
    await new Promise(setImmediate);
    expect(reason).toMatchObject({ name: 'AbortError' });
    expect(log).not.toHaveBeenCalled();
  });

  test('that waits on an ended stream waits until it has closed', async () => {
    const text = await run(async (stream) => {
      await new Promise(setImmediate); // from here on, only the loop can let others have a turn
      stream.finish();
      while (!stream.signal.aborted) await stream.ready();
    });
    expect(text).toBe('retry: 1000\n\nevent: end\ndata: \n\n');
  });

  test('that loops over ready() lets others have their turn, and ends when its client has left', async () => {
    let sent = 0;
    let isOver = false;
    const server = await listen((req, res) =>
      openEventStream(req, res, async (stream) => {
        for (; !stream.signal.aborted && sent < 50_000; sent++) {
          stream.send({ id: sent, data: KILOBYTE });
          await stream.ready();
        }
        isOver = true;
      }),
    );
    const client = server.send(GET);
    await client.until('id: 9\n');
    client.socket.destroy();
    await eventually(() => isOver);
    expect(sent).toBeLessThan(50_000);
  });
});

/** Sends a message from JSON, whose values have no type that the compiler could check. */
function sendJson(message: string): (stream: EventStream) => void {
  return (stream) => stream.send(JSON.parse(message));
}

describe('bad input', () => {
  const bad: [what: string, use: (stream: EventStream) => void, message: string][] = [
    ['no data', sendJson('{}'), 'data: expected text or a number, found undefined'],
    ['an object', sendJson('{ "data": {} }'), 'data: expected text or a number, found [object Object]'],
    [
      'an id that is null',
      sendJson('{ "data": 1, "id": null }'),
      'id: expected one line of text without spaces around it, or a number, found null',
    ],
    ['a bad time', (stream) => stream.reconnectAfter(-1), 'retry: expected 0 to 2^31 - 1 ms, found -1'],
    [
      'a comment that is no text',
      (stream) => stream.comment(JSON.parse('7')),
      expect.stringContaining('replace'),
    ],
  ];

  test.each(bad)(
    'in a timer of a source is logged once and cuts only that stream: %s',
    async (_what, use, message) => {
      const log = vi.spyOn(console, 'error').mockReturnValue();
      const other = await open();
      const { client, stream, stop } = await open();
      const timer = setInterval(() => use(stream), 5); // what it throws would end the process
      onTestFinished(() => clearInterval(timer));
      expect(body(await client.closed)).toBe('retry: 1000\n\n');
      await eventually(() => stop.mock.calls.length === 1);
      expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message }));
      other.stream.send({ data: 'unharmed' });
      await other.client.until('unharmed');
    },
  );

  test.each<[string, Source, string]>([
    ...['5', '{}', 'null'].map((value): [string, Source, string] => [
      `returns ${value}`,
      () => JSON.parse(value),
      `source: expected nothing, a function or a promise, found ${String(JSON.parse(value))}`,
    ]),
    ['throws', () => void decodeURIComponent('%'), 'URI malformed'],
  ])('such as a source that %s is logged and cuts the stream', async (_what, source, message) => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    expect(await run(source)).toBe('retry: 1000\n\n');
    expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message }));
  });

  const response = /^res: expected .*reply\.raw.*ctx\.res.*, found/;
  const time = /^(reconnectionTimeMs|heartbeatMs): expected 0 to 2\^31 - 1 ms, found/;

  test.each<[string, RegExp, { res?: unknown; source?: unknown; options?: EventStreamOptions }]>([
    ['Fastify’s reply', response, { res: { raw: {}, send() {} } }],
    ['Koa’s ctx.response', response, { res: { res: {}, status: 404 } }],
    ['a web Response', response, { res: new Response() }],
    ['nothing', response, { res: null }],
    ['no source', /^source: expected a function, found "x"/, { source: 'x' }],
    ...[-1, NaN, Infinity, 2 ** 31].map((reconnectionTimeMs): [string, RegExp, object] => [
      `a reconnection time of ${reconnectionTimeMs}`,
      time,
      { options: { reconnectionTimeMs } },
    ]),
    ['a heartbeat before now', time, { options: { heartbeatMs: -1 } }],
  ])('such as %s is refused before anything is sent', async (_what, message, given) => {
    const server = await listen((req, real) => {
      const { res = real, source = () => {}, options } = given;
      expect(() => openEventStream(req, res as ServerResponse, source as Source, options)).toThrow(message);
      real.end('nothing was sent before');
    });
    expect(body(await server.send(GET).closed)).toBe('nothing was sent before');
  });

  test('such as a middleware that compresses whatever no-transform says is told and cut', async () => {
    const server = await listen((req, res) => {
      const writeHead = res.writeHead.bind(res);
      Object.assign(res, {
        writeHead(status: number, headers: OutgoingHttpHeaders) {
          res.setHeader('Content-Encoding', 'gzip');
          return writeHead(status, headers);
        },
      });
      expect(() => openEventStream(req, res, () => {})).toThrow(
        'Content-Encoding: expected none, found compression',
      );
    });
    expect(await server.send(GET).closed).not.toContain('data');
  });

  test('what a stop function throws is logged, also when the stream has finished before it was returned', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    await run((stream) => {
      stream.finish();
      return async () => {
        await Promise.resolve();
        throw new Error('broken on purpose');
      };
    });
    await eventually(() => log.mock.calls.length === 1);
  });
});

describe('requests pipelined on one socket', () => {
  test('are answered in turn, the stream after what came before it', async () => {
    const server = await listen((req, res) => {
      if (req.url === '/short') return void setImmediate(() => res.end('short'));
      openEventStream(req, res, (stream) => {
        stream.send({ data: 'at once' });
        return () => {};
      });
    });
    const client = server.send(request('GET', '/short') + request('GET', '/stream'));
    await client.until('data: at once\n\n');
    const [, short, stream = ''] = client.received().split('HTTP/1.1 200 OK\r\n');
    expect(short).toMatch(/\r\n\r\nshort$/);
    expect(body(stream)).toBe('retry: 1000\n\ndata: at once\n\n');
  });

  test('behind a stream start nothing, and leave nothing when the client goes', async () => {
    const streams = new Streams();
    const server = await listen(streams.listener);
    const client = server.send(PIPELINED + PIPELINED);
    await client.until('retry: 1000\n\n');
    await eventually(() => streams.responses.length === 2);
    streams.opened[0]?.send({ data: 'the first' });
    await client.until('data: the first\n\n');
    client.socket.destroy();
    await eventually(() => streams.stop.mock.calls.length > 0);
    expect(streams.opened.length).toBe(1);
    expect(streams.stop).toHaveBeenCalledOnce();
  });

  test('start nothing when the client has gone before their turn', async () => {
    const streams = new Streams();
    const waiting: ServerResponse[] = [];
    const server = await listen((req, res) => {
      if (req.url === '/stream') streams.listener(req, res);
      else waiting.push(res);
    });
    const client = server.send(request('GET', '/slow') + request('GET', '/stream'));
    await eventually(() => streams.responses.length === 1);
    client.socket.destroy();
    if (waiting[0]) await once(waiting[0], 'close');
    waiting[0]?.end();
    await new Promise(setImmediate);
    expect(streams.opened).toEqual([]);
  });
});

describe('lastEventId', () => {
  test.each([
    ['/', {}, ''],
    ['/?lastEventId=a', {}, 'a'],
    ['/?lastEventId=a', { 'last-event-id': 'b' }, 'b'],
    ['/?x=1&lastEventId=a%20b', {}, 'a b'],
    ['/?lastEventId=a&lastEventId=b', {}, 'a,b'],
    ['//?lastEventId=a?b', {}, 'a?b'],
    ['/', { 'last-event-id': Buffer.from('straße').toString('latin1') }, 'straße'],
    ['/', { 'last-event-id': 'café' }, 'café'],
    ['/', { 'last-event-id': '100 %, %41' }, '100 %, %41'],
    ['/', new Headers({ 'Last-Event-ID': 'b' }), 'b'],
    ['http://a.example/?lastEventId=a', new Headers(), 'a'],
  ])('of %s with %j is %j', (url, headers, id) => {
    expect(lastEventId({ url, headers })).toBe(id);
  });
});
