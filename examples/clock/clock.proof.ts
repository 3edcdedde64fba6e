import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, programPath } from '../../test/support/browser.ts';
import { browserPages, examplesFolder, startExample } from '../../test/support/examples.ts';
import { freePort, launch, listeningOn } from '../../test/support/processes.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();
const COMMAND = [process.execPath, '--import', 'tsx', `${examplesFolder}/clock/server.ts`];
const RUN = `node --import tsx ${join('examples', 'clock', 'server.ts')}`;

test.skipIf(isBrowserMissing())('tells the time, says when it has no connection, and goes on', async () => {
  const server = await startExample('clock');
  const page = await open(server.url);
  const time = page.locator('time');
  await eventually(async () => /\d:\d\d:\d\d/.test((await time.textContent()) ?? ''));
  await server.stop();
  await page.getByText('No connection, trying again').waitFor();
  const last = await time.textContent();
  await startExample('clock', { PORT: String(server.port) });
  await page.getByText('No connection').waitFor({ state: 'detached' });
  await eventually(async () => (await time.textContent()) !== last);
});

// As root the server is process 1, as in a container, where a signal without a handler is ignored.
const container = process.getuid?.() === 0 ? programPath('unshare') : undefined;
const onUnix = test.skipIf(process.platform === 'win32');
onUnix('in production, SIGTERM spreads the clients over seconds, and ends it with 0', async () => {
  const port = await freePort();
  const command = container ? [container, '--pid', '--fork', '--kill-child', ...COMMAND] : COMMAND;
  const server = launch(command, { env: { PORT: String(port), NODE_ENV: 'production' } });
  onTestFinished(server.stop);
  const { child, url } = await listeningOn(port, server);
  expect((await fetch(url)).status).toBe(404); // it has no page
  const streams = await Promise.all(Array.from({ length: 200 }, () => fetch(`${url}/clock`)));
  const start = performance.now();
  if (container) spawn('pkill', ['-TERM', '-P', String(child.pid)]);
  else child.kill('SIGTERM');
  const end = async (stream: Response): Promise<number> => {
    await stream.text().catch(() => {});
    return Math.floor((performance.now() - start) / 300);
  };
  const [exit, ends] = await Promise.all([once(child, 'exit'), Promise.all(streams.map(end))]);
  expect(exit).toEqual([0, null]);
  expect(new Set(ends).size).toBeGreaterThan(5);
});

test('a taken port or a bad one is one line', async () => {
  const { port } = await startExample('clock');
  for (const [value, line] of [
    [String(port), `PORT: expected a free one, found ${port} in use; try PORT=${port + 1} ${RUN}\n`],
    ['x', 'PORT: expected a whole number from 0 to 65535, found "x"\n'],
  ] as const) {
    const { child, errors } = launch(COMMAND, { env: { PORT: value, HOST: '127.0.0.1' } });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(errors()).toBe(line);
  }
});
