import { setTimeout } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, openBeside, read, sendJson, startExample } from '../../test/support/examples.ts';
import type { Reader } from '../../test/support/reader.ts';
import { isRedisMissing, startRedis } from '../../test/support/redis.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();
const VISITOR = { Cookie: `visitor=${'v'.repeat(22)}` };
const WHOLE = /^You said:\n“Hello”\n[^]*and all of it\.$/;
let number = 0;

const put = (url: string, id: string, body: unknown, visitor: object = VISITOR): Promise<Response> =>
  sendJson('PUT', `${url}/chats/${id}`, body, visitor);

/** Asks, and resolves to the ID of the answer and what reads it. */
async function ask(url: string, prompt: string, after?: string): Promise<{ id: string; reader: Reader }> {
  const id = `a-test-question-${(number += 1)}`;
  expect((await put(url, id, { prompt, after })).status).toBe(201);
  return { id, reader: readAnswer(url, id) };
}

const readAnswer = (url: string, id: string): Reader => read(`${url}/chats/${id}`, '', VISITOR);
const isAtItsEnd = ({ received }: Reader): boolean => received.at(-1)?.event === 'end';

/** Waits for the end of an answer, and resolves to how it ended. */
async function ending(reader: Reader): Promise<string | undefined> {
  await eventually(() => isAtItsEnd(reader));
  return reader.received.find(({ event }) => event === 'ended')?.data;
}

function textOf({ received }: Reader): string {
  const tokens = received.filter(({ event }) => event === 'token');
  return tokens.map(({ data }) => JSON.parse(data)).join('');
}

async function askOn(page: Page, prompt: string): Promise<void> {
  await page.getByLabel('Question').fill(prompt);
  await page.getByRole('button', { name: 'Ask' }).dblclick();
}
const untilStatus = (page: Page, text: string): Promise<void> =>
  page.getByRole('status').filter({ hasText: text }).last().waitFor();

test('an answer survives cuts, later readers get the same, and nobody else does', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '10' });
  const { id, reader } = await ask(url, 'Hello');
  for (let n = 0; !isAtItsEnd(reader); n = reader.received.length) {
    await eventually(() => reader.received.length > n);
    if (reader.received.at(-1)?.event !== 'ended') reader.cut(); // which has no ID, and would come again
  }
  const late = readAnswer(url, id);
  expect(await ending(late)).toBe('complete');
  expect(textOf(late)).toMatch(WHOLE);
  expect(reader.received).toEqual(late.received);
  const other = { Cookie: `visitor=${'w'.repeat(22)}` };
  const token = { Authorization: 'Bearer too-short' };
  for (const [headers, status] of [[{}, 404] as const, [other, 404] as const, [token, 401] as const])
    expect((await fetch(`${url}/chats/${id}`, { headers })).status).toBe(status);
  const cookie = (await put(url, 'of-a-new-visitor', { prompt: 'x' }, {})).headers.get('set-cookie');
  expect(cookie).toMatch(/^visitor=[\w-]{22}; .*HttpOnly; SameSite=Strict$/);
});

test('a new question stops the one before, and the model is told of it; its failure is told', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '20' });
  const one = await ask(url, 'One');
  await eventually(() => textOf(one.reader) !== '');
  const two = await ask(url, 'Two', one.id);
  expect(await ending(one.reader)).toBe('stopped');
  expect(await ending(two.reader)).toBe('complete');
  const three = await ask(url, 'fail', two.id);
  expect(await ending(three.reader)).toBe('failed');
  expect(textOf(three.reader)).toContain('Before that you said “One”, then “Two”.');
});

test('a reload within the grace loses nothing; after it the model is stopped, and says why', async () => {
  const { url, errors } = await startExample('chat', { TOKEN_MS: '50', GRACE_MS: '1500', ALIVE_MS: '200' });
  const { reader } = await ask(url, 'Hello');
  await eventually(() => reader.received.length > 2);
  reader.leave();
  await setTimeout(100);
  reader.connect();
  const before = reader.received.length;
  await eventually(() => reader.received.length > before + 2);
  reader.leave();
  await setTimeout(2500);
  reader.connect();
  expect(await ending(reader)).toBe('unread');
  const ids = reader.received.map(({ id }) => id).slice(0, -2);
  expect(new Set(ids).size).toBe(ids.length);
  expect(errors()).toBe('');
});

test('many readers of one answer do not keep each other busy', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '100', ALIVE_MS: '500' });
  const { id } = await ask(url, 'Hello');
  const start = performance.now();
  const readers = Array.from({ length: 300 }, () => readAnswer(url, id));
  for (const reader of readers) expect(await ending(reader)).toBe('complete');
  const rounds = (performance.now() - start) / 500; // in each, every reader could say that it reads
  const entries = Number(readers[0]?.received.at(-1)?.id.split('-')[1]);
  expect(entries).toBeLessThan((readers.length * rounds) / 3);
});

test('prompts and running answers are limited, and a flood ends no server', async () => {
  const server = await startExample('chat', { NODE_OPTIONS: '--max-old-space-size=512', MAX_RUNNING: '5' });
  for (const [body, status] of [
    [{ prompt: 'x'.repeat(4001) }, 400],
    [{ prompt: 'x'.repeat(40_000) }, 413],
    [{}, 400],
    ['{', 400],
  ] as const) {
    const response = await put(server.url, 'a-bad-question-0', body);
    expect(response.status).toBe(status);
    expect(await response.text()).toMatch(/^.+\n$/);
  }
  const prompt = 'x '.repeat(2000);
  const flood = async (from: number, to: number, visitor?: object): Promise<number[]> => {
    const statuses: number[] = [];
    for (let n = from; n < to; n += 1)
      statuses.push((await put(server.url, `question-number-${n}`, { prompt }, visitor)).status);
    return statuses;
  };
  expect(await flood(0, 4)).toEqual([201, 201, 201, 429]);
  expect(new Set(await flood(4, 1100, {}))).toEqual(new Set([201, 503]));
  expect(server.child.exitCode).toBe(null);
});

test.skipIf(isRedisMissing())(
  'an answer is streamed, stopped and asked twice on either of two servers over Redis, and outlives both',
  async () => {
    const redis = await startRedis();
    onTestFinished(redis.stop);
    const start = async (): ReturnType<typeof startExample> => {
      const REDIS_URL = `redis://127.0.0.1:${redis.port}`;
      const server = await startExample('chat', { TOKEN_MS: '50', ALIVE_MS: '300', REDIS_URL });
      await eventually(async () => (await put(server.url, 'is-it-up-already', {})).status === 400);
      return server;
    };
    const [a, b] = [await start(), await start()];
    const id = 'asked-by-a-double-click';
    const twice = [a, b, a, b].map(({ url }) => put(url, id, { prompt: 'Hello' }));
    for (const answer of await Promise.all(twice)) expect(answer.status).toBe(201);
    const readers = [readAnswer(a.url, id), readAnswer(b.url, id)];
    for (const reader of readers) {
      expect(await ending(reader)).toBe('complete');
      expect(textOf(reader)).toMatch(WHOLE);
    }

    const stopped = await ask(a.url, 'Hello');
    const witness = readAnswer(b.url, stopped.id);
    await eventually(() => textOf(witness) !== '');
    await fetch(`${b.url}/chats/${stopped.id}`, { method: 'DELETE', headers: VISITOR });
    expect(await ending(witness)).toBe('stopped');

    const orphan = await ask(a.url, 'Hello');
    const heir = readAnswer(b.url, orphan.id);
    await eventually(() => textOf(heir) !== '');
    const many = Array.from({ length: 9 }, (_, n) => put(b.url, `one-of-many-at-once-${n}`, { prompt: 'x' }));
    const taken = (await Promise.all(many)).filter(({ status }) => status === 201);
    expect(taken).toHaveLength(3);
    await a.stop();
    expect(await ending(heir)).toBe('failed');
    await b.stop();
    const late = readAnswer((await start()).url, id);
    await ending(late);
    expect(late.received).toEqual(readers[0]?.received);
  },
);

describe.skipIf(isBrowserMissing())('the page', () => {
  test('shows a conversation, through a reload, in a second tab, and another by another hash', async () => {
    const { url } = await startExample('chat', { TOKEN_MS: '30' });
    const page = await open(url);
    await askOn(page, 'Hello');
    await page.locator('.answer').filter({ hasText: 'This answer is' }).waitFor();
    expect(await page.getByLabel('Question').inputValue()).toBe('');
    await page.reload();
    await untilStatus(page, 'Complete');
    expect(await page.locator('.answer').textContent()).toMatch(WHOLE);
    expect(await page.locator('.answer').getAttribute('aria-busy')).toBe('false');
    const first = new URL(page.url()).hash;
    await askOn(page, 'And again');
    await page.getByRole('heading', { name: 'And again' }).waitFor();
    const second = await openBeside(page, page.url());
    await untilStatus(second, 'Complete');
    expect(await second.getByRole('heading', { level: 2 }).allTextContents()).toEqual(['Hello', 'And again']);
    await second.evaluate((hash) => (location.hash = hash), first);
    await second.getByRole('heading', { name: 'And again' }).waitFor({ state: 'detached' });
    await second.getByRole('heading', { name: 'Hello' }).waitFor();
  });

  test('stops, and says what failed, and keeps a question that was not taken', async () => {
    const server = await startExample('chat', { TOKEN_MS: '50' });
    const page = await open(server.url);
    await askOn(page, 'Hello');
    await page.getByRole('button', { name: 'Stop' }).click();
    await untilStatus(page, 'Stopped');
    await askOn(page, 'fail');
    await page.getByRole('alert').filter({ hasText: 'This answer is not complete.' }).waitFor();

    const portal = { contentType: 'text/html', body: '<p>Sign in' };
    await page.route('**/chats/*', (route) => route.fetch().then(() => route.fulfill(portal))); // it was taken
    await askOn(page, 'To a portal');
    const alert = page.getByRole('alert').filter({ hasText: 'The question was not taken.' });
    await alert.filter({ hasText: 'The server answered 200.' }).waitFor();
    expect(await page.getByLabel('Question').inputValue()).toBe('To a portal');
    await page.unroute('**/chats/*');

    const requested: string[] = [];
    page.on('request', (request) => requested.push(new URL(request.url()).pathname));
    await page.evaluate(() => (location.hash = '../account'));
    await page.getByRole('heading', { level: 2 }).first().waitFor({ state: 'detached' });
    await page.getByLabel('Question').waitFor();
    expect(requested.filter((path) => /account|chats/.test(path))).toEqual([]);

    await askOn(page, 'Hello again');
    await page.locator('.answer').filter({ hasText: 'Hello again' }).waitFor();
    await server.stop();
    await untilStatus(page, 'No connection, trying again');
    await askOn(page, 'Nobody there');
    await alert.filter({ hasText: 'The server can’t be reached.' }).waitFor();
    await startExample('chat', { PORT: String(server.port) });
    await page.getByText('The server does not have this answer').waitFor();
    expect(await page.locator('.answer').getAttribute('aria-busy')).toBe('false');
  });
});
