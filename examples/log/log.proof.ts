import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, read, sendJson, startExample } from '../../test/support/examples.ts';
import { isNginxMissing, startNginx } from '../../test/support/nginx.ts';
import { freePort, type ServerProcess } from '../../test/support/processes.ts';
import { generator } from '../../test/support/random.ts';
import { seed } from '../../test/support/run.ts';
import type { Reader } from '../../test/support/reader.ts';
import { isRedisMissing, startRedis, type Redis } from '../../test/support/redis.ts';
import { eventually, listen, send } from '../../test/support/testServer.ts';
import { app } from './server.ts';

const READERS = 40;
const LINES = 1000;
/** Seconds in which the lines are added; `LOG_SECONDS` makes it longer. */
const SECONDS = Number(process.env['LOG_SECONDS'] ?? 12);
const DOWN = 'store: expected a connection, found none, retry\n';

const open = browserPages();
const texts = ({ received }: Reader): string[] => received.map(({ event, data }) => `${event} ${data}`);

async function post(url: string, body: unknown): Promise<[number, string]> {
  const response = await sendJson('POST', url, body);
  return [response.status, await response.text()];
}

test('a line is limited, and whatever is wrong is one line', async () => {
  const { url } = await startExample('log');
  for (const [body, status, text] of [
    [{ line: 'x'.repeat(2001) }, 413, 'line: expected at most 2000 characters, found 2001\n'],
    [{ line: 'x'.repeat(20_000) }, 413, 'Payload Too Large\n'],
    [{ exit: 1 }, 204, ''],
    [{ line: 'too late' }, 409, 'log: expected one that goes on, found its end\n'],
    [{}, 400, 'line: expected text, or a whole number as exit, found neither\n'],
    ['{', 400, 'Bad Request\n'],
  ] as const)
    expect(await post(`${url}/logs/build`, body)).toEqual([status, text]);
});

test('a client that does not read is sent no more than it has room for', async () => {
  const { server, port } = await listen(app);
  const add = (): Promise<unknown> => post(`http://127.0.0.1:${port}/logs/build`, { line: 'x'.repeat(2000) });
  for (let n = 0; n < 60; n += 1) await Promise.all(Array.from({ length: 50 }, add));
  const connected = once(server, 'connection');
  const client = send(port, 'GET /logs/build HTTP/1.1\r\nHost: localhost\r\n\r\n').socket.pause();
  const [socket]: Socket[] = await connected;
  await eventually(() => socket?.writableLength); // of six megabytes, the system's buffers are full
  expect(socket?.writableLength).toBeLessThan(100_000);
  client.destroy();
});

test.skipIf(isBrowserMissing())('the page shows the newest 500 lines and the exit code', async () => {
  const { url } = await startExample('log');
  const page = await open(url);
  for (let n = 1; n <= 510; n += 1) await post(`${url}/logs/build`, { line: `line ${n}` });
  await page.getByText('line 510', { exact: true }).waitFor();
  expect(await page.locator('li').count()).toBe(500);
  await page.getByLabel('Line').fill('<b>mine</b>');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByText('<b>mine</b>', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'End' }).click();
  await page.getByRole('status').filter({ hasText: 'Ended with code 0' }).waitFor();
});

test('a server starts without Redis, and answers 503 until there is one', async () => {
  const server = await startExample('log', { REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
  expect(await post(`${server.url}/logs/build`, { line: 'x' })).toEqual([503, DOWN]);
  expect(server.errors().trim().split('\n').length).toBeLessThan(4);
});

describe.skipIf(isRedisMissing() || isBrowserMissing())('over Redis', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  const start = (PORT = '0'): Promise<ServerProcess> =>
    startExample('log', { REDIS_URL: `redis://127.0.0.1:${redis.port}`, PORT });

  test('an outage of Redis is told, and over in seconds', async () => {
    const server = await start();
    const url = `${server.url}/logs/outage`;
    const add = async (line: string): Promise<boolean> => (await post(url, { line }))[0] === 204;
    await eventually(() => add('first'));
    const reader = read(url);
    const page = await open(`${server.url}/#outage`);
    await page.getByText('first').waitFor();
    await redis.kill();
    await page.getByRole('status').filter({ hasText: 'No connection, trying again' }).waitFor();
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    await page.getByLabel('Line').fill('kept');
    await page.getByRole('button', { name: 'Add' }).click();
    await eventually(async () => (await page.getByRole('alert').textContent()) === DOWN);
    expect(await page.getByLabel('Line').inputValue()).toBe('kept');
    await redis.start();
    await eventually(() => add('second'));
    await page.getByText('second').waitFor();
    await eventually(() => reader.received.length === 2);
    expect(texts(reader)).toEqual(['entry first', 'entry second']);
    expect(await page.locator('li').allTextContents()).toEqual(['first', 'second']);
    expect(server.errors()).not.toContain('    at ');
  });

  test.skipIf(isNginxMissing())(
    `${READERS} readers cut at random hold ${LINES} of ${LINES} lines, whatever dies`,
    async () => {
      const random = generator(seed);
      const servers = [await start(), await start()];
      const ports = servers.map(({ port }) => port);
      const nginx = await startNginx([ports[0] ?? 0, ports[1] ?? 0], READERS + 1, '35s');
      onTestFinished(nginx.stop);
      const url = `http://127.0.0.1:${nginx.ports.http}`;
      const readers = Array.from({ length: READERS }, () => read(`${url}/logs/chaos`));

      let [cuts, deaths] = [0, 0];
      const cutting = setInterval(() => {
        random.one(readers).cut();
        cuts += 1;
      }, 50);
      onTestFinished(() => clearInterval(cutting));
      // A line whose answer was lost may be there twice, for all readers.
      const add = (line: number): Promise<boolean> =>
        post(`${url}/logs/chaos`, { line: String(line) }).then(
          ([status]) => status === 204,
          () => false,
        );
      const die = async (): Promise<void> => {
        deaths += 1;
        if (deaths % 2 === 0) return redis.kill().then(() => redis.start());
        const i = random.below(2);
        await servers[i]?.stop();
        servers[i] = await start(String(ports[i]));
      };

      const started = performance.now();
      let dying = Promise.resolve();
      for (let n = 1; n <= LINES; n += 1) {
        while (!(await add(n))) await setTimeout(50);
        if (n % 200 === 100) dying = dying.then(die);
        const early = started + (n * SECONDS * 1000) / LINES - performance.now();
        if (early > 0) await setTimeout(early);
      }
      await dying;
      clearInterval(cutting);
      const late = read(`${url}/logs/chaos`);
      await eventually(() => texts(late).at(-1) === `entry ${LINES}`);
      const all = texts(late);
      expect([...new Set(all)]).toEqual(Array.from({ length: LINES }, (_, i) => `entry ${i + 1}`));
      await eventually(() => readers.every(({ received }) => received.length >= all.length)).catch(() => {});
      for (const reader of readers) expect(texts(reader)).toEqual(all);
      console.log(`${cuts} cuts, ${deaths} deaths, none lost or twice (PROOF_SEED=${seed})`);
    },
  );
});
