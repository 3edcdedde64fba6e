import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { runServer, startServer, type ServerProcess } from '../test/support/processes.ts';
import { request } from '../test/support/rawHttp.ts';
import { editServer, eventually, send, serverProcess } from '../test/support/testServer.ts';
import { listenOrExit } from './start.ts';

/** A server for the tests that leave it as it is. */
let shared: ServerProcess;
beforeAll(async () => {
  shared = await startServer({ HOST: '0.0.0.0', TICK_MS: '10' });
});
afterAll(() => shared.stop());
afterEach(() => void vi.restoreAllMocks());

test.each([
  ['a bad setting', () => ({ PORT: 'abc' }), /^PORT: expected a whole number .*, found "abc"\n$/],
  ['another machine’s address', () => ({ HOST: '203.0.113.1' }), /^HOST, PORT: expected .*, found .*\n$/],
  [
    'a port in use',
    () => ({ PORT: `${shared.port}` }),
    /^PORT: expected a free one, found \d+ in use; try PORT=\d+ npm start\n$/,
  ],
])('%s ends the start with one line and exit code 1', async (_what, env, line) => {
  expect(await runServer(env())).toMatchObject({ code: 1, output: expect.stringMatching(line) });
});

test('without a built page it says so in one line and exits with 1', async () => {
  const folder = await editServer((text) => text);
  await rm(join(folder, 'dist'), { recursive: true });
  expect(await runServer({}, folder)).toMatchObject({
    code: 1,
    output: 'dist/index.html: expected the built page, found none. Run npm run build first\n',
  });
});

test('the page, the stream and the health check come from one port', async () => {
  const { url } = shared;
  const page = await (await fetch(url)).text();
  expect(page).toContain('<div id="root"></div>');
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const stream = await fetch(`${url}/count`, { signal: abort.signal });
  expect(stream.headers.get('Content-Type')).toBe('text/event-stream');
  expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'ok', connections: 1 });
});

test('a connection on which nothing moves is cut after the idle timeout, and a stream lives on', async () => {
  const folder = await editServer((text) => text.replace(/(?<=IDLE_AFTER_MS = )\w+/, '500'));
  const { port } = await serverProcess({ TICK_MS: '100' }, folder);
  const stream = send(port, request('GET', '/count'));
  const silent = send(port, '');
  await silent.closed;
  expect(stream.socket.closed).toBe(false);
});

test('a connection carries a hundred requests, so that nobody pipelines without an end', async () => {
  const requests = request('GET', '/health').repeat(101);
  const received = await send(shared.port, requests).until(' 503 ');
  expect(received.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(100);
});

const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
const HOSTS: [string, string][] = [
  ['::1', 'http://[::1]:'],
  ['127.0.0.1', 'http://127.0.0.1:'],
  ['0.0.0.0', 'http://localhost:'],
];
test.each(HOSTS.filter(([host]) => host === '0.0.0.0' || addresses.includes(host)))(
  'the URL that it prints answers: HOST=%s',
  async (host, expected) => {
    const log = vi.spyOn(console, 'log').mockReturnValue();
    const server = createServer((_req, res) => res.setHeader('Connection', 'close').end());
    onTestFinished(() => void server.close());
    listenOrExit(server, 0, host, 'npm start');
    await eventually(() => log.mock.calls.length === 1);
    const url = String(log.mock.calls[0]?.[0]);
    expect(url.replace(/\d+$/, '')).toBe(expected);
    expect((await fetch(url)).status).toBe(200);
  },
);
