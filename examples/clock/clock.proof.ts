import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, programPath } from '../../test/support/browser.ts';
import { browserPages, examplesFolder, read, sendJson, startExample } from '../../test/support/examples.ts';
import { freePort, launch, listening, listeningOn } from '../../test/support/processes.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();
const inBrowser = test.skipIf(isBrowserMissing());
const COMMAND = [process.execPath, '--import', 'tsx', `${examplesFolder}/clock/server.ts`];
const RUN = `node --import tsx ${join('examples', 'clock', 'server.ts')}`;

inBrowser('the clock tells the time, says when it has no connection, and goes on', async () => {
  const server = await startExample('clock');
  const { received } = read(`${server.url}/clock`);
  const page = await open(server.url);
  const time = page.locator('time');
  await page.waitForFunction(() => /\d:\d\d:\d\d/.test(document.querySelector('time')?.textContent ?? ''));
  await eventually(() => received.length >= 2);
  expect(received[1]?.data).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  await server.stop();
  await page.getByText('No connection, trying again').waitFor();
  const last = await time.textContent();
  await startExample('clock', { PORT: String(server.port) });
  await page.getByText('No connection').waitFor({ state: 'detached' });
  await eventually(async () => (await time.textContent()) !== last);
});

const onUnix = test.skipIf(process.platform === 'win32');

onUnix('SIGTERM spreads its clients over seconds, and ends it with 0', async () => {
  const { child, url } = await startExample('clock');
  const streams = await Promise.all(Array.from({ length: 200 }, () => fetch(`${url}/clock`)));
  const exited = once(child, 'exit');
  const start = performance.now();
  child.kill('SIGTERM');
  const end = async (stream: Response): Promise<number> => {
    await stream.text().catch(() => {});
    return performance.now() - start;
  };
  const ends = await Promise.all(streams.map(end));
  expect(await exited).toEqual([0, null]);
  expect(new Set(ends.map((ms) => Math.floor(ms / 300))).size).toBeGreaterThan(5);
});

const unshare = process.getuid?.() === 0 ? programPath('unshare') : undefined;
test.skipIf(unshare === undefined)('SIGTERM ends it with 0 as process 1 of a container, too', async () => {
  const port = await freePort();
  const command = [unshare ?? '', '--pid', '--fork', '--kill-child', ...COMMAND];
  const server = launch(command, { env: { PORT: String(port), NODE_ENV: 'production' } });
  onTestFinished(server.stop);
  await listeningOn(port, server);
  const stream = await fetch(`http://127.0.0.1:${port}/clock`);
  spawn('pkill', ['-TERM', '-P', String(server.child.pid)]);
  expect(await once(server.child, 'exit')).toEqual([0, null]);
  await stream.text().catch(() => {});
});

onUnix.each([
  ['broadcast', '/quotes'],
  ['chat', '/chats/a-chat-at-a-shutdown'],
  ['job', '/jobs/a-job-at-a-shutdown'],
  ['log', '/logs/build'],
])('SIGTERM ends the %s with 0, though a stream is open', async (name, path) => {
  const { child, url } = await startExample(name);
  const { headers } = await sendJson('POST', `${url}/session`, { user: 'Ada' }); // 404 where there is no sign-in
  const Cookie = headers.get('set-cookie')?.split(';')[0] ?? `visitor=${'v'.repeat(22)}`;
  await sendJson('PUT', url + path, { prompt: 'Hello' }, { Cookie });
  const stream = await fetch(url + path, { headers: { Cookie } });
  expect(stream.headers.get('content-type')).toBe('text/event-stream');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  await stream.text().catch(() => {});
});

test('a taken port or a bad one is one line', async () => {
  const { port } = await startExample('clock');
  for (const [value, line] of [
    [String(port), `PORT: expected a free one, found ${port} in use; try PORT=${port + 1} ${RUN}\n`],
    ['x', 'PORT: expected a whole number from 0 to 65535, found "x"\n'],
  ] as const) {
    const { child, errors } = launch(COMMAND, { env: { PORT: value } });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(errors()).toBe(line);
  }
});

test('in production it serves no page', async () => {
  const server = await listening(launch(COMMAND, { env: { PORT: '0', NODE_ENV: 'production' } }));
  onTestFinished(server.stop);
  expect((await fetch(server.url)).status).toBe(404);
  expect((await fetch(`${server.url}/clock`, { method: 'HEAD' })).status).toBe(200);
});
