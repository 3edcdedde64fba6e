import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { ended, runServer, startServer, type ServerProcess } from '../e2e/support/processes.ts';
import { eventually } from '../e2e/support/testServer.ts';

const projectFolder = join(import.meta.dirname, '..');

async function start(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}

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
    const { code, output } = await runServer({ PORT: '0', ...env });
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
  const folder = await mkdtemp(join(tmpdir(), 'sse-counter-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(join(projectFolder, 'server'), join(folder, 'server'), { recursive: true });
  await cp(join(projectFolder, 'package.json'), join(folder, 'package.json'));
  await symlink(join(projectFolder, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const { code, output } = await runServer({ PORT: '0' }, folder);
  expect(code).toBe(1);
  expect(output).toBe('dist/index.html: expected the built page, found none. Run npm run build first\n');
});

test('the page, the stream and the health check come from one port', async () => {
  const { url } = shared;
  const page = await (await fetch(url)).text();
  expect(page).toContain('<div id="root"></div>');
  const stream = await readStream(url);
  await stream.until('data: 3\n\n');
  expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'ok', connections: 1 });
});

test('a connection carries a hundred requests, so that nobody pipelines without an end', async () => {
  const client = connect(shared.port, 'localhost');
  onTestFinished(() => void client.destroy());
  let received = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
  client.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(101));
  await eventually(() => received.includes(' 503 '));
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

describe.skipIf(process.platform === 'win32')('at a signal', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s every stream ends with a retry and the exit code is 0',
    async (signal) => {
      const { child, url, output } = await start({ TICK_MS: '10' });
      const streams = await Promise.all(Array.from({ length: 100 }, () => readStream(url)));
      await Promise.all(streams.map((stream) => stream.until('data: 1\n\n')));
      child.kill(signal);
      expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
      for (const stream of streams) expect(await stream.closed).toMatch(/\n\nretry: \d{1,4}\n\n$/);
    },
  );

  test('that a supervisor sends, every stream ends with a retry and the exit code is 0', async () => {
    const script = `${packageJson.scripts.start} & trap 'kill -TERM $!' TERM; wait $!; wait $!`;
    const supervisor = spawn('sh', ['-c', script], {
      cwd: projectFolder,
      env: { ...process.env, PORT: '0' },
    });
    onTestFinished(() => void supervisor.kill());
    let printed = '';
    supervisor.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
    await eventually(() => printed.endsWith('\n'));
    const stream = await readStream(printed.trim());
    await stream.until('retry: ');
    supervisor.kill('SIGTERM');
    expect(await stream.closed).toMatch(/\n\nretry: \d{1,4}\n\n$/);
    expect(await ended(supervisor, () => printed)).toMatchObject({ code: 0, signal: null });
    await refused(printed.trim());
  });

  test('what is still open at the deadline is cut and the exit code is 0, also when a closing terminal sends SIGHUP twice', async () => {
    const { child, url, output } = await start();
    const half = connect(Number(new URL(url).port), 'localhost', () => half.write('GET /count HTTP/1.1\r\n'));
    await eventually(() => half.bytesWritten > 0);
    // The server has the half request when it answers one that came later.
    await fetch(`${url}/health`);
    child.kill('SIGHUP');
    await refused(url);
    child.kill('SIGHUP');
    const cut = new Promise((resolve) => void half.on('error', resolve).on('close', resolve));
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
    await cut;
  });

  test('a second one ends the process at once', async () => {
    const { child, url, output } = await start();
    const half = connect(Number(new URL(url).port), 'localhost', () => half.write('GET /count HTTP/1.1\r\n'));
    half.on('error', () => {});
    await eventually(() => half.bytesWritten > 0);
    await fetch(`${url}/health`);
    child.kill('SIGTERM');
    await refused(url);
    child.kill('SIGINT');
    expect(await ended(child, output)).toMatchObject({ code: null, signal: 'SIGINT' });
  });
});

async function answers(host: string, expected: string): Promise<void> {
  await expectToAnswer(await start({ HOST: host }), expected);
}

async function expectToAnswer({ url }: ServerProcess, expected: string): Promise<void> {
  expect(url.replace(/\d+$/, '')).toBe(expected);
  expect((await fetch(`${url}/health`)).status).toBe(200);
}

/** Waits until the server accepts no connections. */
function refused(url: string): Promise<boolean> {
  const isRefused = (): Promise<boolean> =>
    fetch(`${url}/health`).then(
      () => false,
      () => true,
    );
  return eventually(isRefused);
}

/** Reads `/count` with fetch, a client that knows nothing of event streams. */
async function readStream(
  url: string,
): Promise<{ until: (text: string) => Promise<unknown>; closed: Promise<string> }> {
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const { body } = await fetch(`${url}/count`, { signal: abort.signal });
  let received = '';
  const decoder = new TextDecoder();
  const closed = (async () => {
    for await (const chunk of body ?? []) received += decoder.decode(chunk, { stream: true });
    return received;
  })();
  closed.catch(() => {}); // aborted at the end of the test
  return { until: (wanted) => eventually(() => received.includes(wanted)), closed };
}
