import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { ended } from '../test/support/processes.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { editServer, eventually, send, serverProcess, type Connection } from '../test/support/testServer.ts';

const projectFolder = join(import.meta.dirname, '..');
const COUNT = request('GET', '/count');
/** Loopback sockets hold some 6 MB. */
const LARGE_BYTES = 10_000_000;
const LAST_RETRY = /\n\nretry: \d{1,4}\n\n$/;

describe.skipIf(process.platform === 'win32')('at a signal', () => {
  test('each of a hundred streams ends with a retry and the exit code is 0', async () => {
    const { child, port, output } = await serverProcess({ TICK_MS: '10' });
    const streams = Array.from({ length: 100 }, () => send(port, COUNT));
    await Promise.all(streams.map((stream) => stream.until('data: 1\n\n')));
    child.kill('SIGINT');
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
    for (const stream of streams) expect(body(await stream.closed)).toMatch(LAST_RETRY);
  });

  test('from a supervisor, every stream ends with a retry and the exit code is 0', async () => {
    // The signal interrupts the first wait.
    const script = `${packageJson.scripts.start} & trap 'kill -TERM $!' TERM; wait $!; wait $!`;
    const supervisor = spawn('sh', ['-c', script], {
      cwd: projectFolder,
      env: { ...process.env, PORT: '0' },
    });
    onTestFinished(() => void supervisor.kill());
    let printed = '';
    supervisor.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
    await eventually(() => printed.endsWith('\n'));
    const url = printed.trim();
    const stream = send(Number(new URL(url).port), COUNT);
    await stream.until('retry: ');
    supervisor.kill('SIGTERM');
    expect(body(await stream.closed)).toMatch(LAST_RETRY);
    expect(await ended(supervisor, () => printed)).toMatchObject({ code: 0, signal: null });
    await refused(url);
  });

  test('a connection closes as soon as its answer is sent, whether that is a stream or asked for later', async () => {
    const { child, port, url, output } = await serverProcess({}, await withDeadline(600_000));
    const stream = send(port, COUNT);
    await stream.until('retry: ');
    const [first, second] = [await sendHalfARequest(port), await sendHalfARequest(port)];
    child.kill('SIGTERM');
    await refused(url);
    expect(body(await stream.closed)).toMatch(LAST_RETRY);
    for (const half of [first, second]) {
      half.socket.write('\r\n');
      expect(body(await half.closed)).toBe('server is shutting down, retry\n');
    }
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
  });

  test('a client that reads slowly gets all that was sent to it', async () => {
    const folder = await withDeadline(600_000);
    await writeFile(join(folder, 'dist', 'large.txt'), 'x'.repeat(LARGE_BYTES));
    const { child, port, url, output } = await serverProcess({}, folder);
    const reader = send(port, request('GET', '/large.txt'));
    await reader.until('\r\n\r\n');
    reader.socket.pause();
    child.kill('SIGTERM');
    await refused(url);
    reader.socket.resume();
    expect(body(await reader.closed)).toHaveLength(LARGE_BYTES);
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
  });

  test('half a request is cut at the deadline and the exit code is 0, also when a closing terminal sends SIGHUP twice', async () => {
    const { child, port, url, output } = await serverProcess({}, await withDeadline(2000));
    const half = await sendHalfARequest(port);
    child.kill('SIGHUP');
    await refused(url);
    child.kill('SIGHUP');
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
    await half.closed;
  });

  test('a second SIGINT ends the process at once', async () => {
    const { child, port, url, output } = await serverProcess();
    await sendHalfARequest(port);
    child.kill('SIGTERM');
    await refused(url);
    child.kill('SIGINT');
    expect(await ended(child, output)).toMatchObject({ code: null, signal: 'SIGINT' });
  });
});

test('after an uncaught exception every stream ends with a retry and the exit code is 1', async () => {
  const folder = await editServer(
    (text) => `${text}
      server.on('request', ({ url }) => {
        if (url === '/throw') setTimeout(() => { throw new Error('thrown on purpose'); });
      });`,
  );
  const { child, port, output } = await serverProcess({}, folder);
  const stream = send(port, COUNT);
  await stream.until('retry: ');
  send(port, request('GET', '/throw'));
  expect(body(await stream.closed)).toMatch(LAST_RETRY);
  expect(await ended(child, output)).toMatchObject({
    code: 1,
    output: expect.stringContaining('on purpose'),
  });
});

/** A server that cuts what is still open after this time, and nothing before because it is idle. */
function withDeadline(ms: number): Promise<string> {
  return editServer(
    (text) => `${text.replace(/(?<=DRAIN_DEADLINE_MS = )\w+/, String(ms))}\nserver.keepAliveTimeout = 0;`,
  );
}

/** Opens a connection and sends a request without the line that ends it. */
async function sendHalfARequest(port: number): Promise<Connection> {
  const half = send(port, COUNT.slice(0, -2));
  await eventually(() => half.socket.bytesWritten > 0);
  // Once this later request is answered, the server has the half one.
  await send(port, request('GET', '/health', 'Connection: close')).closed;
  return half;
}

/** Waits until the server refuses connections. */
function refused(url: string): Promise<boolean> {
  return eventually(async () => {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    return answer === undefined;
  });
}
