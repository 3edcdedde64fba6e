import { rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { runServer, startServer, type ServerProcess } from '../test/support/processes.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { editServer, send, serverProcess } from '../test/support/testServer.ts';

/** A server for the tests that leave it as it is. */
let shared: ServerProcess;
beforeAll(async () => {
  shared = await startServer({ HOST: '0.0.0.0', TICK_MS: '10' });
});
afterAll(() => shared.stop());

describe.concurrent('a setting that does not fit ends the start with one line and exit code 1:', () => {
  test.each([
    [{ PORT: 'abc' }, 'PORT: expected a whole number from 0 to 65535, found "abc"\n'],
    [
      { HOST: '203.0.113.1' },
      'HOST, PORT: expected an address to listen on, found listen EADDRNOTAVAIL: address not available 203.0.113.1\n',
    ],
  ])('%j', async (env, line) => {
    const { code, output } = await runServer(env);
    expect(code).toBe(1);
    expect(output).toBe(line);
  });
});

test('a port in use ends the start with one line and exit code 1', async () => {
  const { port } = shared;
  const { code, output } = await runServer({ PORT: String(port) });
  expect(code).toBe(1);
  expect(output).toBe(`PORT: expected a free one, found ${port} in use; try PORT=${port + 1} npm start\n`);
});

test('without a built page it says so in one line and exits with 1', async () => {
  const folder = await editServer((text) => text);
  await rm(join(folder, 'dist'), { recursive: true });
  const { code, output } = await runServer({}, folder);
  expect(code).toBe(1);
  expect(output).toBe('dist/index.html: expected the built page, found none. Run npm run build first\n');
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
  const folder = await editServer((text) => {
    expect(text).toContain('IDLE_AFTER_MS = 6e4;');
    return text.replace('IDLE_AFTER_MS = 6e4', 'IDLE_AFTER_MS = 500');
  });
  const { port } = await serverProcess({ TICK_MS: '100' }, folder);
  const stream = send(port, request('GET', '/count'));
  const silent = send(port, '');
  await silent.closed;
  expect(stream.socket.closed).toBe(false);
});

test('a stream whose numbers are slow gets a heartbeat before the page gives it up', async () => {
  const { port } = await serverProcess({ TICK_MS: '10000' }); // the page waits as long
  const received = await send(port, request('GET', '/count')).until(/heartbeat|data: 1\n/);
  expect(body(received)).toMatch(/^retry: \d+\n\nevent: heartbeat\ndata: \n\n$/);
});

test('a connection carries a hundred requests, so that nobody pipelines without an end', async () => {
  const requests = request('GET', '/health').repeat(101);
  const received = await send(shared.port, requests).until(' 503 ');
  expect(received.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(100);
});

describe('the URL that it prints answers:', () => {
  const addresses = Object.values(networkInterfaces()).flatMap((all = []) =>
    all.map(({ address }) => address),
  );
  test.skipIf(!addresses.includes('::1'))('HOST=::1', () => answers('::1', 'http://[::1]:'));
  // Only the first address of 127.0.0.0/8 is up on macOS.
  test.skipIf(process.platform === 'darwin')('HOST=127.0.0.2', () =>
    answers('127.0.0.2', 'http://127.0.0.2:'),
  );
  test('HOST=0.0.0.0', () => expectToAnswer(shared, 'http://localhost:'));
});

async function answers(host: string, expected: string): Promise<void> {
  await expectToAnswer(await serverProcess({ HOST: host }), expected);
}

async function expectToAnswer({ url }: ServerProcess, expected: string): Promise<void> {
  expect(url.replace(/\d+$/, '')).toBe(expected);
  expect((await fetch(`${url}/health`)).status).toBe(200);
}
