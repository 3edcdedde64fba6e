import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isNginxMissing, startNginx } from './support/nginx.ts';
import { isListening, startServer, type ServerProcess } from './support/processes.ts';
import { eventually } from './support/testServer.ts';

type Pair = [ServerProcess, ServerProcess];

describe.skipIf(isNginxMissing())('behind nginx', () => {
  /** Servers for the tests that leave them as they are. */
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
  });
  afterAll(() => Promise.all(pair.map(({ stop }) => stop())));

  test('frames arrive one by one', async () => {
    const port = await listenBefore(pair);
    const answer = await ask(port, { headers: { 'Accept-Encoding': 'gzip' } });
    const frames: string[] = [];
    answer.on('data', (chunk) => frames.push(String(chunk)));
    await eventually(() => frames.length >= 4);
    const expected = ['id: 1\ndata: 1\n\n', 'id: 2\ndata: 2\n\n', 'id: 3\ndata: 3\n\n'];
    expect(frames.join('')).toContain(expected.join(''));
  });

  test('the last event ID reaches the server', async () => {
    const port = await listenBefore(pair);
    const answer = await ask(port, { headers: { 'Last-Event-ID': '41' } });
    let text = '';
    answer.on('data', (chunk) => (text += chunk));
    await eventually(() => text.includes('data: 42\n\n'));
    expect(text).toMatch(/^retry: \d+\n\nid: 42\n/);
  });

  test('requests go to the other server when one is dead, and get a 502 when both are', async () => {
    const { port, servers } = await start();
    await servers[0].stop();
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    await servers[1].stop();
    expect((await ask(port)).statusCode).toBe(502);
  });

  test.skipIf(process.platform === 'win32')('requests go to the other server when one drains', async () => {
    const { port, servers } = await start();
    const draining = servers[1];
    // Half a request keeps it open until its deadline.
    const half = connect(portOf(draining), '127.0.0.1', () => half.write('GET /count HTTP/1.1\r\n'));
    onTestFinished(() => void half.destroy());
    await eventually(() => half.bytesWritten > 0);
    await fetch(`${draining.url}/health`); // it has the half request when it answers this one
    draining.child.kill('SIGTERM');
    await eventually(async () => !(await isListening(portOf(draining))));
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    expect(draining.child.exitCode).toBe(null);
  });

  test('requests go to the other server when one is full', async () => {
    const { port } = await start({ MAX_CONNECTIONS: '2' });
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    expect((await ask(port)).statusCode).toBe(503);
  });

  test.skipIf(process.platform !== 'linux')('one address gets its share and no more', async () => {
    const port = await listenBefore(pair, 3);
    for (let i = 0; i < 3; i++) expect((await ask(port)).statusCode).toBe(200);
    expect((await ask(port)).statusCode).toBe(503);
    expect((await ask(port, { localAddress: '127.0.0.2' })).statusCode).toBe(200);
  });
});

/** Starts nginx and two servers of the test's own. */
async function start(env?: NodeJS.ProcessEnv): Promise<{ port: number; servers: Pair }> {
  const servers = await startPair(env);
  for (const server of servers) onTestFinished(server.stop);
  return { port: await listenBefore(servers), servers };
}

function startPair(env: NodeJS.ProcessEnv = {}): Promise<Pair> {
  const ticking = { TICK_MS: '100', ...env };
  return Promise.all([startServer(ticking), startServer(ticking)]);
}

/** Starts nginx in front of two servers, until the test has finished. Returns its port. */
async function listenBefore(servers: Pair, share?: number): Promise<number> {
  const nginx = await startNginx([portOf(servers[0]), portOf(servers[1])], share);
  onTestFinished(nginx.stop);
  return nginx.ports.http;
}

/** Asks for a stream, and leaves it open until the test has finished. */
async function ask(
  port: number,
  options: { headers?: Record<string, string>; localAddress?: string } = {},
): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, path: '/count', agent: false, ...options });
  onTestFinished(() => void request.destroy());
  const [answer]: IncomingMessage[] = await once(request, 'response');
  if (!answer) throw new Error('expected an answer');
  answer.on('error', () => {}); // cut off at the end of the test, or by a server that was killed
  return answer;
}

function portOf({ url }: ServerProcess): number {
  return Number(new URL(url).port);
}
