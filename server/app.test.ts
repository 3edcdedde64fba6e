import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import compression from 'compression';
import express from 'express';
import supertest from 'supertest';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createApp, DRAIN_WINDOW_MS, type AppOptions } from './app.ts';
import { createExpressServer } from './expressServer.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { eventually, listen, type Connection, type TestServer } from '../test/support/testServer.ts';

const GET_COUNT = request('GET', '/count');
/** Otherwise the connection stays for a while, for another request. */
const GET_LAST = request('GET', '/count', 'Connection: close');

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5); // so that each reconnection time is 1000 ms
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
});
afterEach(() => void vi.restoreAllMocks().useRealTimers());

async function start(options?: AppOptions): Promise<TestServer & { drain: () => void }> {
  const { app, drain } = createApp(options);
  return { ...(await listen(createExpressServer(app))), drain };
}

/** Opens a stream and waits for what comes before its first number. */
async function openStream(server: TestServer, text = GET_COUNT): Promise<Connection> {
  const connection = server.send(text);
  await connection.until(/retry: \d+\n\n/);
  return connection;
}

describe('/count', () => {
  test('sends its headers and the reconnection time before the first number', async () => {
    const stream = await openStream(await start());
    expect(stream.received().replace(/Date: .*\r\n/, '')).toBe(
      'HTTP/1.1 200 OK\r\n' +
        'Access-Control-Allow-Origin: *\r\n' +
        'Content-Type: text/event-stream\r\n' +
        'Cache-Control: no-cache, no-transform\r\n' +
        'X-Accel-Buffering: no\r\n' +
        'Connection: keep-alive\r\n' +
        'Keep-Alive: timeout=5\r\n' +
        'Transfer-Encoding: chunked\r\n' +
        '\r\n' +
        'd\r\nretry: 1000\n\n\r\n',
    );
  });

  test('sends a number a second, each with its id', async () => {
    const stream = await openStream(await start());
    vi.advanceTimersByTime(999);
    const early = body(stream.received());
    vi.advanceTimersByTime(1);
    await stream.until('data: 1\n\n');
    vi.advanceTimersByTime(2000);
    await stream.until('data: 3\n\n');
    expect(early).toBe('retry: 1000\n\n');
    expect(body(stream.received())).toBe(
      'retry: 1000\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n',
    );
  });

  test('sends a heartbeat between slow numbers, before the page gives the stream up', async () => {
    const stream = await openStream(await start({ tickMs: 10_000 }));
    vi.advanceTimersByTime(5000);
    await stream.until('event: heartbeat\n');
  });

  test('shows the beginning of a last event ID that it refuses', async () => {
    const { text } = await supertest(createApp().app).get(`/count?lastEventId=a${'9'.repeat(100)}`);
    expect(text).toBe(`last event ID: expected a whole number below 2^53 - 1, found "a${'9'.repeat(79)}"\n`);
  });

  test('may be read by pages of every origin, or of those that are set', async () => {
    const stream = await openStream(await start(), request('GET', '/count', 'Origin: https://a.example'));
    expect(stream.received()).toContain('Access-Control-Allow-Origin: *\r\n');
    const server = await start({ corsOrigin: ['https://a.example', 'https://b.example'] });
    const own = await openStream(server, request('GET', '/count', 'Origin: https://a.example'));
    expect(own.received()).toContain('Access-Control-Allow-Origin: https://a.example\r\n');
    const other = await openStream(server, request('GET', '/count', 'Origin: https://c.example'));
    expect(other.received()).not.toContain('Access-Control-Allow-Origin');
  });

  test('ends the answer to HEAD, and starts nothing', async () => {
    const answer = await (await start()).send(request('HEAD', '/count', 'Connection: close')).closed;
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(body(answer)).toBe('');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('OPTIONS answers a preflight', async () => {
    const answer = await supertest(createApp().app).options('/count').set({
      Origin: 'https://a.example',
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'last-event-id',
    });
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET,HEAD',
      'access-control-allow-headers': 'last-event-id',
    });
  });
});

describe('connections', () => {
  test('a client that leaves takes its timers and its place with it', async () => {
    const server = await start();
    const streams = await Promise.all([openStream(server), openStream(server), openStream(server)]);
    await expectConnections(server, 3);
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    streams[0]?.socket.end();
    streams[1]?.socket.resetAndDestroy();
    streams[2]?.socket.destroy();
    await expectConnections(server, 0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('beyond the cap get 503 and Retry-After, until a place is free', async () => {
    const server = await start({ maxConnections: 2 });
    const [first] = await Promise.all([openStream(server), openStream(server)]);
    const answer = await server.send(GET_LAST).closed;
    expect(answer).toMatch(/^HTTP\/1.1 503 /);
    expect(answer).toContain('Retry-After: 1\r\n');
    expect(answer).toContain('X-Content-Type-Options: nosniff\r\n');
    // Otherwise a page of another origin can't read it.
    expect(answer).toContain('Access-Control-Expose-Headers: Retry-After\r\n');
    expect(body(answer)).toBe('server is full, retry\n');
    first.socket.destroy();
    await expectConnections(server, 1);
    await openStream(server);
  });

  test('are no more than the cap when all of them wait behind an answer that takes time', async () => {
    const pageFolder = await mkdtemp(join(tmpdir(), 'sse-counter-'));
    onTestFinished(() => rm(pageFolder, { recursive: true }));
    await writeFile(join(pageFolder, 'index.html'), 'x'.repeat(100_000));
    const server = await listen(createApp({ pageFolder, maxConnections: 1 }).app);
    const pipelined = request('GET', '/') + request('GET', '/count', 'Connection: close');
    const clients = Array.from({ length: 10 }, () => server.send(pipelined));
    await eventually(
      () => clients.filter(({ socket }) => socket.closed).length === clients.length - 1,
      () => clients.map((client) => client.received().slice(-100)),
    );
    expect((await supertest(server.server).get('/health')).body).toEqual({ status: 'ok', connections: 1 });
  });

  test('half a request takes no place and no timer', async () => {
    const server = await start();
    const half = server.send(GET_COUNT.slice(0, -2));
    await eventually(async () => (await connectionsOf(server)) === 1);
    await expectConnections(server, 0);
    expect(vi.getTimerCount()).toBe(0);
    half.socket.write('\r\n');
    await half.until('retry: 1000\n\n');
  });
});

describe('draining', () => {
  test('ends every stream after a reconnection time of its own', async () => {
    vi.mocked(Math.random).mockRestore();
    const server = await start();
    const streams = await Promise.all(Array.from({ length: 50 }, () => openStream(server, GET_LAST)));
    vi.advanceTimersByTime(1000);
    await Promise.all(streams.map((stream) => stream.until('data: 1\n\n')));
    server.drain();
    const bodies = await Promise.all(streams.map(async (stream) => body(await stream.closed)));
    const delays = bodies.map((text) =>
      Number(/^retry: \d+\n\nid: 1\ndata: 1\n\nretry: (\d+)\n\n$/.exec(text)?.[1]),
    );
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThanOrEqual(DRAIN_WINDOW_MS);
    expect(new Set(delays).size).toBeGreaterThan(25);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('sends away a stream too that was asked for before and opens after', async () => {
    const server = await start();
    server.server.once('request', server.drain);
    const answer = await server.send(GET_LAST).closed;
    expect(body(answer)).toMatch(/^retry: 1000\n\nretry: \d+\n\n$/);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('refuses new streams with 503 and Retry-After, and says so to who asks for its health', async () => {
    const { app, drain } = createApp();
    drain();
    const health = await supertest(app).get('/health');
    expect([health.status, health.text]).toEqual([503, '{"status":"draining","connections":0}']);
    const answer = await supertest(app).get('/count');
    expect(answer.status).toBe(503);
    expect(answer.get('Retry-After')).toBe('1');
    expect(answer.text).toBe('server is shutting down, retry\n');
  });
});

test('an error in a route is logged and answered with 500 without its stack, and the rest goes on', async () => {
  const log = vi.spyOn(console, 'error').mockReturnValue();
  const { app } = createApp();
  app.response.json = () => {
    throw new Error('broken on purpose');
  };
  const server = await listen(app);
  const stream = await openStream(server);
  const answer = await supertest(server.server).get('/health');
  expect(answer.status).toBe(500);
  expect(answer.text).toBe('Internal Server Error');
  expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'broken on purpose' }));
  vi.advanceTimersByTime(1000);
  await stream.until('data: 1\n\n');
});

test('an error after the headers is logged once, and closes the connection', async () => {
  const log = vi.spyOn(console, 'error').mockReturnValue();
  const app = createApp().app.set('env', 'production'); // Express itself logs nothing in a test
  app.response.json = function (): never {
    this.flushHeaders();
    throw new Error('broken on purpose');
  };
  const answer = await (await listen(app)).send(request('GET', '/health')).closed;
  expect(answer).toMatch(/^(HTTP\/1.1 200 |$)/);
  expect(body(answer)).toBe('');
  expect(log).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'broken on purpose' }));
});

test('under compression the first number still arrives when it is due', async () => {
  const { app } = createApp();
  const server = await listen(express().use(compression({ threshold: 0 }), app));
  const stream = await openStream(server, request('GET', '/count', 'Accept-Encoding: gzip, br'));
  vi.advanceTimersByTime(1000);
  await stream.until('data: 1\n\n');
  expect(stream.received()).not.toMatch(/Content-Encoding/i);
});

/** The server's own count of sockets, whatever they have asked for. */
function connectionsOf({ server }: TestServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, n) => (error ? reject(error) : resolve(n)));
  });
}

async function expectConnections(server: TestServer, n: number): Promise<void> {
  await vi.waitFor(async () => {
    const answer = await server.send(request('GET', '/health', 'Connection: close')).closed;
    expect(body(answer)).toBe(`{"status":"ok","connections":${n}}`);
  }, 20_000);
}
