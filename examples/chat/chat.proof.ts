import { setTimeout } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, openBeside, read, startExample } from '../../test/support/examples.ts';
import { freePort } from '../../test/support/processes.ts';
import type { Reader } from '../../test/support/reader.ts';
import { isRedisMissing, startRedis, type Redis } from '../../test/support/redis.ts';
import { eventually } from '../../test/support/testServer.ts';
import { streamFromPost } from './streamFromPost.ts';

const open = browserPages();
const VISITOR = { Cookie: `visitor=${'v'.repeat(22)}` };
const WHOLE = /^You said:\n“Hello”\n[^]*and all of it\.$/;
let number = 0;

function put(
  url: string,
  id: string,
  body: unknown,
  headers: Record<string, string> = VISITOR,
): Promise<Response> {
  const all = { 'Content-Type': 'application/json', ...headers };
  return fetch(`${url}/chats/${id}`, {
    method: 'PUT',
    headers: all,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** Whether a server has its connection to Redis. */
async function isUp({ url }: { url: string }): Promise<boolean> {
  return (await put(url, 'is-it-up-already', {})).status === 400;
}

/** Asks, and resolves to the ID of the answer. */
async function ask(url: string, prompt: string, after?: string): Promise<string> {
  const id = `a-test-question-${(number += 1)}`;
  expect((await put(url, id, { prompt, after })).status).toBe(201);
  return id;
}

const readAnswer = (url: string, id: string): Reader => read(`${url}/chats/${id}`, '', VISITOR);
const isAtItsEnd = ({ received }: Reader): boolean => received.at(-1)?.event === 'end';
const ending = ({ received }: Reader): string | undefined =>
  received.find(({ event }) => event === 'ended')?.data;

function textOf({ received }: Reader): string {
  const tokens = received.filter(({ event }) => event === 'token');
  return tokens.map(({ data }) => JSON.parse(data)).join('');
}

async function askOn(page: Page, prompt: string): Promise<void> {
  await page.getByLabel('Question').fill(prompt);
  await page.getByRole('button', { name: 'Ask' }).click();
}
const untilStatus = (page: Page, text: string): Promise<void> =>
  page.getByRole('status').filter({ hasText: text }).last().waitFor();

test('an answer survives cuts, later readers get the same, and nobody else does', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '10' });
  const id = await ask(url, 'Hello');
  const first = readAnswer(url, id);
  while (!isAtItsEnd(first)) {
    await setTimeout(20);
    if (!isAtItsEnd(first)) first.cut();
  }
  const late = readAnswer(url, id);
  await eventually(() => isAtItsEnd(late));
  expect(textOf(late)).toMatch(WHOLE);
  expect(first.received).toEqual(late.received);
  expect(late.received.map(({ event }) => event)).toContain('tool');
  expect(ending(late)).toBe('complete');
  const other = { Cookie: `visitor=${'w'.repeat(22)}` };
  for (const headers of [{}, other])
    expect((await fetch(`${url}/chats/${id}`, { headers })).status).toBe(404);
  const cookie = (await put(url, 'of-a-new-visitor', { prompt: 'x' }, {})).headers.get('set-cookie');
  expect(cookie).toMatch(/^visitor=[\w-]{22}; .*HttpOnly; SameSite=Strict$/);
});

test('the model is told of the earlier turns, and a new question stops the one before', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '20' });
  const first = readAnswer(url, await ask(url, 'One'));
  await eventually(() => first.received.length > 3);
  const one = `a-test-question-${number}`;
  const two = readAnswer(url, await ask(url, 'Two', one));
  await eventually(() => isAtItsEnd(first));
  expect(ending(first)).toBe('stopped');
  await eventually(() => isAtItsEnd(two));
  expect(textOf(two)).toContain('Before that you said “One”.');
  const three = readAnswer(url, await ask(url, 'Three', `a-test-question-${number}`));
  await eventually(() => isAtItsEnd(three));
  expect(textOf(three)).toContain('Before that you said “One”, then “Two”.');
});

test('a reload within the grace loses nothing; after it the model is stopped, and says why', async () => {
  const { url, errors } = await startExample('chat', { TOKEN_MS: '50', GRACE_MS: '1500', ALIVE_MS: '200' });
  const reader = readAnswer(url, await ask(url, 'Hello'));
  await eventually(() => reader.received.length > 2);
  reader.leave();
  await setTimeout(100);
  reader.connect();
  const before = reader.received.length;
  await eventually(() => reader.received.length > before + 2);
  reader.leave();
  await setTimeout(2500);
  reader.connect();
  await eventually(() => isAtItsEnd(reader));
  expect(ending(reader)).toBe('unread');
  const ids = reader.received.map(({ id }) => id).slice(0, -2);
  expect(new Set(ids).size).toBe(ids.length);
  expect(errors()).toBe('');
});

test('a failure of the model is an event, and the next reader learns it too', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '1' });
  const id = await ask(url, 'fail');
  for (const reader of [readAnswer(url, id), readAnswer(url, id)]) {
    await eventually(() => isAtItsEnd(reader));
    expect(ending(reader)).toBe('failed');
  }
});

test('prompts, running answers and kept answers are limited, and a flood ends no server', async () => {
  const server = await startExample('chat', { NODE_OPTIONS: '--max-old-space-size=512', MAX_RUNNING: '5' });
  const { url } = server;
  for (const [body, status] of [
    [{ prompt: 'x'.repeat(4001) }, 400],
    [{ prompt: 'x'.repeat(40_000) }, 413],
    [{}, 400],
    ['{', 400],
  ] as const) {
    const response = await put(url, 'a-bad-question-0', body);
    expect(response.status).toBe(status);
    expect(await response.text()).toMatch(/^.+\n$/);
  }
  const asked = (n: number, headers?: Record<string, string>): Promise<number> =>
    put(url, `flooding-question-${n}`, { prompt: 'x '.repeat(2000) }, headers).then(({ status }) => status);
  const own: number[] = [];
  for (let n = 0; n < 4; n += 1) own.push(await asked(n));
  expect(own).toEqual([201, 201, 201, 429]);
  const statuses: number[] = [];
  for (let n = 4; n < 1100; n += 1) statuses.push(await asked(n, {}));
  expect(new Set(statuses)).toEqual(new Set([201, 503]));
  expect(server.child.exitCode).toBe(null);
});

test('an answer streamed from a POST is complete or an error', async () => {
  const server = await startExample('chat', { TOKEN_MS: '10' });
  const collect = async (
    prompt: string,
    onToken = (): unknown => undefined,
    ms?: number,
  ): Promise<string> => {
    let text = '';
    const url = `${server.url}/chats/streamed-question-${(number += 1)}`;
    for await (const token of streamFromPost(url, { prompt }, { staleAfterMs: ms ?? 40_000 })) {
      text += token;
      await onToken();
    }
    return text;
  };
  expect(await collect('Hello')).toMatch(WHOLE);
  await expect(collect('fail')).rejects.toThrow('expected a complete answer, found one that failed');
  const freeze = (): unknown => server.child.kill('SIGSTOP');
  if (process.platform !== 'win32')
    await expect(collect('Hello', freeze, 1000)).rejects.toThrow('expected an event within 1000 ms');
  server.child.kill('SIGCONT');
  await expect(collect('Hello', server.stop)).rejects.toThrow();
});

describe.skipIf(isRedisMissing())('on two servers over Redis', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test('an answer is streamed, stopped and asked twice on either, and outlives both', async () => {
    const env = { TOKEN_MS: '50', ALIVE_MS: '300', REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    const [a, b] = [await startExample('chat', env), await startExample('chat', env)];
    await eventually(() => isUp(a));
    await eventually(() => isUp(b));

    const twice = [a, b, a, b].map(({ url }) => put(url, 'asked-by-a-double-click', { prompt: 'Hello' }));
    for (const answer of await Promise.all(twice)) expect(answer.status).toBe(201);
    const readers = [
      readAnswer(a.url, 'asked-by-a-double-click'),
      readAnswer(b.url, 'asked-by-a-double-click'),
    ];
    for (const reader of readers) await eventually(() => isAtItsEnd(reader));
    for (const reader of readers) expect(textOf(reader)).toMatch(WHOLE);

    const stopped = await ask(a.url, 'Hello');
    const reader = readAnswer(b.url, stopped);
    await eventually(() => textOf(reader) !== '');
    await fetch(`${b.url}/chats/${stopped}`, { method: 'DELETE', headers: VISITOR });
    await eventually(() => isAtItsEnd(reader));
    expect(ending(reader)).toBe('stopped');

    const orphan = await ask(a.url, 'Hello');
    const witness = readAnswer(b.url, orphan);
    await eventually(() => textOf(witness) !== '');
    await a.stop();
    await eventually(() => isAtItsEnd(witness));
    expect(ending(witness)).toBe('failed');
    await b.stop();
    const c = await startExample('chat', env);
    await eventually(() => isUp(c));
    const late = readAnswer(c.url, 'asked-by-a-double-click');
    await eventually(() => isAtItsEnd(late));
    expect(late.received).toEqual(readers[0]?.received);
  });
});

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
    await second.getByText('Before that you said “Hello”').waitFor();
    await untilStatus(second, 'Complete');
    expect(await second.getByRole('heading', { level: 2 }).allTextContents()).toEqual(['Hello', 'And again']);
    await second.evaluate((hash) => (location.hash = hash), first);
    await second.getByRole('heading', { name: 'And again' }).waitFor({ state: 'detached' });
    await second.getByRole('heading', { name: 'Hello' }).waitFor();
  });

  test('stops, and says what failed, and keeps a question that was not taken', async () => {
    const port = String(await freePort());
    const server = await startExample('chat', { TOKEN_MS: '50', PORT: port });
    const page = await open(server.url);
    await askOn(page, 'Hello');
    await page.getByRole('button', { name: 'Stop' }).click();
    await untilStatus(page, 'Stopped');
    await askOn(page, 'fail');
    await page.getByRole('alert').filter({ hasText: 'The model has failed.' }).waitFor();

    await page.route('**/chats/*', (route) =>
      route.fulfill({ contentType: 'text/html', body: '<p>Sign in' }),
    );
    await askOn(page, 'To a portal');
    const alert = page.getByRole('alert').filter({ hasText: 'The question was not taken.' });
    await alert.filter({ hasText: 'The server answered 200.' }).waitFor();
    expect(await page.getByLabel('Question').inputValue()).toBe('To a portal');
    await page.unroute('**/chats/*');

    const requested: string[] = [];
    page.on('request', (request) => requested.push(new URL(request.url()).pathname));
    await page.evaluate(() => (location.hash = '../account'));
    await page.getByRole('heading', { level: 2 }).first().waitFor({ state: 'detached' });
    expect(requested).toEqual([]);

    await askOn(page, 'Hello again');
    await page.locator('.answer').filter({ hasText: 'Hello again' }).waitFor();
    await server.stop();
    await untilStatus(page, 'No connection, trying again');
    await askOn(page, 'Nobody there');
    await alert.filter({ hasText: 'The server can’t be reached.' }).waitFor();
    await startExample('chat', { PORT: port });
    await page.getByText('The server does not have this answer').waitFor();
    expect(await page.locator('.answer').getAttribute('aria-busy')).toBe('false');
  });
});
