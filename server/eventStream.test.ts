import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import {
  formatMessage,
  lastEventId,
  MAX_BUFFERED_BYTES,
  openEventStream,
  type EventStream,
} from './eventStream.ts';
import { listen, request, type Connection } from '../e2e/support/testServer.ts';

const GET = request('GET', '/');

/** A server whose streams are fed by the test. */
class Streams {
  readonly opened: EventStream[] = [];
  readonly responses: ServerResponse[] = [];
  /** Called when a stream has closed. */
  readonly stop = vi.fn<() => void>();

  readonly listener: RequestListener = (req, res) => {
    this.responses.push(res);
    openEventStream(req, res, (stream) => {
      this.opened.push(stream);
      return this.stop;
    });
  };
}

/** Opens one stream over a real socket. */
async function open(): Promise<{
  client: Connection;
  stream: EventStream;
  res: ServerResponse;
  stop: () => void;
}> {
  const streams = new Streams();
  const client = (await listen(streams.listener)).send(GET);
  await client.until('retry: 1000\n\n');
  const [stream] = streams.opened;
  const [res] = streams.responses;
  if (!stream || !res) throw new Error('expected an open stream');
  return { client, stream, res, stop: streams.stop };
}

function body(answer: string): string {
  return answer.slice(answer.indexOf('\r\n\r\n') + 4);
}

describe('frame', () => {
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

  test.each(['a\nb', 'a\rb', 'a\r\nb', 'a\0b', 'a\x01b', 'a\x7f', ''])(
    'refuses %j as an id or an event',
    (value) => {
      const found = `expected one line of text, found ${JSON.stringify(value)}`;
      expect(() => formatMessage({ id: value, data: '' })).toThrow(new TypeError(`id: ${found}`));
      expect(() => formatMessage({ event: value, data: '' })).toThrow(new TypeError(`event: ${found}`));
    },
  );

  test.each(['open', 'error', 'end'])('refuses the event %s, which means something else', (event) => {
    expect(() => formatMessage({ event, data: '' })).toThrow(TypeError);
  });
});

describe('an open stream', () => {
  test('sends messages in order and byte for byte', async () => {
    const { client, stream } = await open();
    stream.send({ id: 1, data: 'straße' });
    stream.send({ event: 'note', data: 'a\nb' });
    await client.until('b\n\n');
    expect(body(client.received())).toBe(
      'retry: 1000\n\nid: 1\ndata: straße\n\nevent: note\ndata: a\ndata: b\n\n',
    );
  });

  test('sends comments, and keeps every line of them a comment', async () => {
    const { client, stream } = await open();
    stream.comment('');
    stream.comment('a\r\ndata: b\rc\n');
    stream.send({ data: 'heard' });
    await client.until('heard\n\n');
    expect(body(client.received())).toBe('retry: 1000\n\n: \n\n: a\n: data: b\n: c\n: \n\ndata: heard\n\n');
  });

  test('finishes with the event that tells its client not to come back', async () => {
    const { client, stream, stop } = await open();
    stream.send({ data: 'last' });
    stream.finish();
    expect(body(await client.closed)).toBe('retry: 1000\n\ndata: last\n\nevent: end\ndata: \n\n');
    expect(stop).toHaveBeenCalledOnce();
  });

  test('releases its client with the time after which to come back', async () => {
    const { client, stream, stop } = await open();
    stream.reconnectAfter(1234.5);
    expect(body(await client.closed)).toBe('retry: 1000\n\nretry: 1235\n\n');
    expect(stop).toHaveBeenCalledOnce();
  });

  test.each([-1, NaN, Infinity, 2 ** 31])('refuses %d as a reconnection time', async (ms) => {
    const { stream } = await open();
    expect(() => stream.reconnectAfter(ms)).toThrow(RangeError);
    const server = await listen((req, res) => {
      expect(() => openEventStream(req, res, () => () => {}, { reconnectionTimeMs: ms })).toThrow(RangeError);
      res.end('nothing was sent before');
    });
    expect(body(await server.send(request('GET', '/', 'Connection: close')).closed)).toContain(
      'nothing was sent before',
    );
  });

  test.each(['', 'x'])('logs a source that throws, and closes that stream alone', async (before) => {
    const log = vi.spyOn(console, 'error').mockReturnValueOnce();
    const server = await listen((req, res) => {
      if (req.url === '/short') return void setImmediate(() => res.end('short'));
      openEventStream(req, res, () => {
        throw new Error('broken on purpose');
      });
    });
    const answer = await server.send((before && request('GET', '/short')) + GET).closed;
    expect(answer).toMatch(/retry: 1000\n\n$/);
    expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'broken on purpose' }));
    log.mockRestore();
  });

  test('takes no harm from a source that sends on after the end', async () => {
    const { client, stream, res } = await open();
    stream.finish();
    stream.send({ data: 'too late' });
    stream.comment('too late');
    stream.reconnectAfter(0);
    const answer = await client.closed;
    stream.send({ data: 'much too late' });
    stream.finish();
    expect(answer).not.toContain('late');
    expect(res.errored).toBeNull();
  });

  test('stops its source once when the client leaves, and takes no harm when that sends on', async () => {
    const { client, res, stream, stop } = await open();
    client.socket.destroy();
    await once(res, 'close');
    expect(stop).toHaveBeenCalledOnce();
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
    await vi.waitUntil(() => requests.length === 1);
    const [[req, res] = []] = requests;
    if (!req || !res) throw new Error('expected a request');
    client.socket.destroy();
    await once(res, 'close');
    streams.listener(req, res);
    await new Promise(setImmediate);
    expect(streams.opened).toEqual([]);
  });

  test('may finish before its source has returned', async () => {
    const stop = vi.fn<() => void>();
    const server = await listen((req, res) =>
      openEventStream(req, res, (stream) => {
        stream.send({ data: 'all there is' });
        stream.finish();
        return stop;
      }),
    );
    const answer = await server.send(GET).closed;
    expect(body(answer)).toBe('retry: 1000\n\ndata: all there is\n\nevent: end\ndata: \n\n');
    expect(stop).toHaveBeenCalledOnce();
  });
});

describe('a reader that falls behind', () => {
  const kilobyte = 'x'.repeat(1000);

  test('gets what waits for it and is sent away when that is more than the limit', async () => {
    const { client, stream, res, stop } = await open();
    client.socket.pause();
    while (!res.writableEnded) {
      stream.send({ data: kilobyte });
      await new Promise(setImmediate);
    }
    expect(res.socket?.writableLength).toBeGreaterThan(MAX_BUFFERED_BYTES);
    expect(res.socket?.writableLength).toBeLessThanOrEqual(MAX_BUFFERED_BYTES + 1100);
    client.socket.resume();
    expect(body(await client.closed)).toMatch(/^retry: 1000\n\n(data: x{1000}\n\n)+$/);
    expect(stop).toHaveBeenCalledOnce();
  });

  test.each([1, 1000])('gets on, with a megabyte at its opening in %i messages', async (n) => {
    const server = await listen((req, res) =>
      openEventStream(req, res, (stream) => {
        for (let i = 0; i < n; i++) stream.send({ data: 'x'.repeat(1_000_000 / n) });
        stream.finish();
        return () => {};
      }),
    );
    const answer = body(await server.send(GET).closed);
    expect(answer.length).toBeGreaterThan(MAX_BUFFERED_BYTES);
    expect(answer).toMatch(/^retry: 1000\n\n(data: x+\n\n)+(event: end\ndata: \n\n)?$/);
  });

  test('gets every message in order when it reads on before that', async () => {
    const { client, stream, res } = await open();
    client.socket.pause();
    let n = 0;
    while (res.socket && res.socket.writableLength < MAX_BUFFERED_BYTES / 2) {
      stream.send({ id: ++n, data: kilobyte });
      if (n % 10 === 0) await new Promise(setImmediate);
    }
    client.socket.resume();
    await client.until(`id: ${n}\ndata: ${kilobyte}\n\n`);
    const ids = [...client.received().matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(Array.from({ length: n }, (_, i) => i + 1));
  });

  test('is cut when it takes nothing for the documented time', async () => {
    const { client, stream, res } = await open();
    client.socket.pause();
    stream.send({ data: 'taken at once' });
    expect(res.socket?.timeout).toBe(0);
    while (res.socket?.writableLength === 0) {
      stream.send({ data: kilobyte });
      await new Promise(setImmediate);
    }
    expect(res.socket?.timeout).toBe(30_000);
    res.socket?.setTimeout(50);
    const more = setInterval(() => stream.send({ data: 'in vain' }), 10);
    await once(res, 'close').finally(() => clearInterval(more));
    expect(res.destroyed).toBe(true);
  });

  /** Not through the stream: what comes next from there must wait. */
  function fill(socket: Socket): void {
    while (socket.writableLength === 0) socket.write(kilobyte);
  }

  test.each(['beginning', 'end'])('is cut too when all that waits is the %s of its stream', async (part) => {
    let socket: Socket | undefined;
    const server = await listen((req, res) => {
      socket = req.socket;
      if (part === 'beginning') fill(req.socket);
      openEventStream(req, res, (stream) => {
        if (part === 'end') {
          fill(req.socket);
          stream.finish();
        }
        return () => {};
      });
    });
    server.send(GET).socket.pause();
    await expect.poll(() => socket?.timeout).toBe(30_000);
  });

  test('is not cut when nothing waits for it: a stream may be quiet', async () => {
    const { client, stream, res } = await open();
    res.socket?.setTimeout(50);
    await once(res, 'timeout');
    expect(res.socket?.timeout).toBe(0);
    stream.send({ data: 'still there' });
    await client.until('data: still there\n\n');
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
    expect(client.received()).toMatch(
      /^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\nshortHTTP\/1.1 200 OK\r\n[^]*\r\n\r\nretry: 1000\n\ndata: at once\n\n$/,
    );
  });

  test('behind a stream start nothing, and leave nothing when the client goes', async () => {
    const streams = new Streams();
    const server = await listen(streams.listener);
    const client = server.send(GET + GET);
    await client.until('retry: 1000\n\n');
    await vi.waitUntil(() => streams.responses.length === 2);
    streams.opened[0]?.send({ data: 'the first' });
    await client.until('data: the first\n\n');
    client.socket.destroy();
    await vi.waitUntil(() => streams.stop.mock.calls.length > 0);
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
    await vi.waitUntil(() => streams.responses.length === 1);
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
  ])('of %s with %j is %j', (url, headers, id) => {
    expect(lastEventId({ url, headers })).toBe(id);
  });
});
