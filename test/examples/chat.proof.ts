import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { streamFromPost } from '../../examples/chat/streamFromPost.ts';
import { isBrowserMissing } from '../support/browser.ts';
import { browserPages, listen, openBeside, read, startExample } from '../support/examples.ts';
import { freePort } from '../support/processes.ts';
import type { Reader } from '../support/reader.ts';
import { eventually } from '../support/testServer.ts';

const open = browserPages();

async function ask(url: string, prompt: string): Promise<string> {
  const response = await fetch(`${url}/chats`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt }),
  });
  expect(response.status).toBe(201);
  return `${url}${response.headers.get('location')}`;
}

function textOf({ received }: Reader): string {
  return received
    .filter(({ event }) => event === 'token')
    .map(({ data }) => JSON.parse(data))
    .join('');
}

const isAtItsEnd = ({ received }: Reader): boolean => received.at(-1)?.event === 'end';

test('an answer survives cuts, and later readers get the same', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '10' });
  const chat = await ask(url, 'Hello');
  const first = read(chat);
  const others = listen(chat, 'token', 'ended');
  while (!isAtItsEnd(first)) {
    await setTimeout(20);
    if (!isAtItsEnd(first)) first.cut();
  }
  const late = read(chat);
  await eventually(() => isAtItsEnd(late));
  expect(textOf(late)).toContain('“Hello”\n\nThis answer');
  expect(first.received).toEqual(late.received);
  expect(late.received.at(-2)?.data).toBe('complete');
  await eventually(() => others.includes('ended complete'));
  expect(others).toEqual(late.received.slice(0, -1).map(({ event, data }) => `${event} ${data}`));
});

test('curl resumes it', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '1' });
  const chat = await ask(url, 'Hello');
  const whole = read(chat);
  await eventually(() => isAtItsEnd(whole));
  const id = whole.received.length - 3;
  const text = execFileSync('curl', ['-sN', '-H', `Last-Event-ID: ${id}`, chat], { encoding: 'utf8' });
  expect(text).toMatch(
    /^retry: \d+\n\nevent: token\nid: \d+\ndata: ".*"\n\nevent: ended\nid: \d+\ndata: complete\n\nevent: end\n/,
  );
});

test('a reload within the grace loses nothing; after it the model is stopped', async () => {
  const { url, output } = await startExample('chat', { TOKEN_MS: '20', GRACE_MS: '300' });
  const chat = await ask(url, 'Hello');
  const reader = read(chat);
  await eventually(() => reader.received.length > 2);
  reader.leave();
  await setTimeout(100);
  reader.connect();
  const before = reader.received.length;
  await eventually(() => reader.received.length > before + 2);
  reader.leave();
  await setTimeout(600);
  reader.connect();
  await eventually(() => isAtItsEnd(reader));
  expect(reader.received.at(-2)).toMatchObject({ event: 'ended', data: 'stopped' });
  expect(reader.received.map(({ id }) => id).slice(0, -1)).toEqual(
    reader.received.slice(1).map((_, i) => String(i + 1)),
  );
  expect(output()).not.toContain('Error');
});

test('a failure of the model is an event, and the next reader learns it too', async () => {
  const { url } = await startExample('chat', { TOKEN_MS: '1' });
  const chat = await ask(url, 'fail');
  for (const reader of [read(chat), read(chat)]) {
    await eventually(() => isAtItsEnd(reader));
    expect(reader.received.at(-2)?.data).toBe('failed');
  }
});

test.skipIf(isBrowserMissing())(
  'the page shows an answer to its end, through a reload and in a second tab',
  async () => {
    const { url } = await startExample('chat', { TOKEN_MS: '30' });
    const page = await open(url);
    await page.getByLabel('Question').fill('Hello');
    await page.getByRole('button', { name: 'Ask' }).click();
    const answer = page.locator('.answer');
    await answer.filter({ hasText: 'This answer is' }).waitFor();
    await page.reload();
    const second = await openBeside(page, page.url());
    await page.getByRole('status').filter({ hasText: 'complete' }).waitFor();
    await second.getByRole('status').filter({ hasText: 'complete' }).waitFor();
    expect(await answer.textContent()).toMatch(/^You said:\n“Hello”[^]*and all of it\.$/);
    expect(await second.locator('.answer').textContent()).toBe(await answer.textContent());
  },
);

test.skipIf(isBrowserMissing())('the page stops the model, and shows failures and lost answers', async () => {
  const port = String(await freePort());
  const server = await startExample('chat', { TOKEN_MS: '50', PORT: port });
  const page = await open(server.url);
  const askFor = async (prompt: string): Promise<void> => {
    await page.getByLabel('Question').fill(prompt);
    await page.getByRole('button', { name: 'Ask' }).click();
  };
  await askFor('Hello');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('status').filter({ hasText: 'stopped' }).waitFor();

  await askFor('fail');
  await page
    .getByRole('alert')
    .filter({ hasText: 'The model has failed. This answer is not complete.' })
    .waitFor();

  await askFor('Hello again');
  await page.locator('.answer').filter({ hasText: 'Hello again' }).waitFor();
  await server.stop();
  await startExample('chat', { PORT: port });
  await page.getByRole('alert').filter({ hasText: 'The server has lost this answer.' }).waitFor();
});

test('an answer streamed from a POST is complete or an error', async () => {
  const server = await startExample('chat', { TOKEN_MS: '10' });
  const { signal } = new AbortController();
  const collect = async (prompt: string, onToken = (): unknown => undefined): Promise<string> => {
    let text = '';
    for await (const token of streamFromPost(`${server.url}/answers`, prompt, signal)) {
      text += token;
      await onToken();
    }
    return text;
  };
  expect(await collect('Hello')).toMatch(/^You said:\n“Hello”[^]*and all of it\.$/);
  await expect(collect('fail')).rejects.toThrow();
  await expect(collect('Hello', server.stop)).rejects.toThrow();
});
