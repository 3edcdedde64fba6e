import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, programPath } from '../support/browser.ts';
import { browserPages, examplesFolder, listen, startExample } from '../support/examples.ts';
import { freePort } from '../support/processes.ts';
import { eventually } from '../support/testServer.ts';

const open = browserPages();
const inBrowser = test.skipIf(isBrowserMissing());

inBrowser('the clock tells the time to the browser and to npm’s EventSource', async () => {
  const { url } = await startExample('clock');
  const received = listen(`${url}/clock`, 'message');
  const page = await open(url);
  await page.waitForFunction(() => /\d:\d\d:\d\d/.test(document.querySelector('time')?.textContent ?? ''));
  await eventually(() => received.length >= 2);
  expect(received[1]).toMatch(/^message \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

inBrowser('the clock goes on after its server was killed', async () => {
  const port = String(await freePort());
  const server = await startExample('clock', { PORT: port });
  const page = await open(server.url);
  const time = page.locator('time');
  await page.waitForFunction(() => document.querySelector('time')?.textContent !== '');
  await server.stop();
  const last = await time.textContent();
  await startExample('clock', { PORT: port });
  await eventually(async () => (await time.textContent()) !== last);
});

test('the test of a stream of one’s own passes, and fails when the stream is wrong', async () => {
  const file = join(examplesFolder, 'test-your-own-stream', 'stream.test.ts');
  expect(run(file)).toMatch(/1 passed/);
  const wrong = join(examplesFolder, 'test-your-own-stream', 'wrong.test.ts');
  onTestFinished(() => rm(wrong, { force: true }));
  await writeFile(wrong, (await readFile(file, 'utf8')).replace('Number(lastEventId(req))', '0'));
  expect(() => run(wrong)).toThrow();
});

const analyze = programPath('systemd-analyze');
test.skipIf(analyze === undefined)('the systemd unit is sound', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unit-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const unit = await readFile(join(examplesFolder, 'serve-it', 'app.service'), 'utf8');
  const path = join(folder, 'app.service');
  await writeFile(path, unit.replace(/WorkingDirectory=.*/, `WorkingDirectory=${folder}`));
  execFileSync(analyze ?? '', ['verify', path], { stdio: 'pipe' });
});

/** Runs a test among the examples; throws if it fails. */
function run(path: string): string {
  const command = ['node_modules/vitest/vitest.mjs', 'run', '--root', examplesFolder, path];
  return execFileSync(process.execPath, command, { encoding: 'utf8', stdio: 'pipe' });
}
