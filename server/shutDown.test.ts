import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { ended } from '../test/support/processes.ts';
import { eventually, serverProcess } from '../test/support/testServer.ts';

describe.skipIf(process.platform === 'win32')('at a signal', () => {
  test('each of a hundred streams ends with a retry and the exit code is 0', async () => {
    const { child, url, output } = await serverProcess({ TICK_MS: '10' });
    const streams = await Promise.all(Array.from({ length: 100 }, () => readStream(url)));
    await Promise.all(streams.map((stream) => stream.until('data: 1\n\n')));
    child.kill('SIGINT');
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
    for (const stream of streams) expect(await stream.closed).toMatch(/\n\nretry: \d{1,4}\n\n$/);
  });

  test('from a supervisor, every stream ends with a retry and the exit code is 0', async () => {
    // The signal interrupts the first wait.
    const script = `${packageJson.scripts.start} & trap 'kill -TERM $!' TERM; wait $!; wait $!`;
    const supervisor = spawn('sh', ['-c', script], {
      cwd: join(import.meta.dirname, '..'),
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

  test('half a request is cut at the deadline and the exit code is 0, also when a closing terminal sends SIGHUP twice', async () => {
    const { child, url, output } = await serverProcess();
    const half = await sendHalfARequest(url);
    child.kill('SIGHUP');
    await refused(url);
    child.kill('SIGHUP');
    expect(await ended(child, output)).toMatchObject({ code: 0, signal: null });
    await eventually(() => half.closed);
  });

  test('a second SIGINT ends the process at once', async () => {
    const { child, url, output } = await serverProcess();
    await sendHalfARequest(url);
    child.kill('SIGTERM');
    await refused(url);
    child.kill('SIGINT');
    expect(await ended(child, output)).toMatchObject({ code: null, signal: 'SIGINT' });
  });
});

/** Opens a connection and sends an incomplete request. */
async function sendHalfARequest(url: string): Promise<Socket> {
  const half = connect(Number(new URL(url).port), 'localhost', () => half.write('GET /count HTTP/1.1\r\n'));
  half.on('error', () => {}); // the server may cut it with a reset
  onTestFinished(() => void half.destroy());
  await eventually(() => half.bytesWritten > 0);
  // Once this later request is answered, the server has the half one.
  await fetch(`${url}/health`);
  return half;
}

/** Waits until the server refuses connections. */
function refused(url: string): Promise<boolean> {
  const isRefused = (): Promise<boolean> =>
    fetch(`${url}/health`).then(
      () => false,
      () => true,
    );
  return eventually(isRefused);
}

/** Reads `/count` as plain text, without EventSource. */
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
