import { setTimeout } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { isBrowserMissing } from '../../test/support/browser.ts';
import { browserPages, openBeside, sendJson, startExample } from '../../test/support/examples.ts';
import { eventually } from '../../test/support/testServer.ts';

const open = browserPages();
const inBrowser = test.skipIf(isBrowserMissing());

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Name').fill('Ada');
  await page.getByRole('button', { name: 'Sign in' }).click();
}

async function startJob(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Start a job' }).dblclick();
}

async function percent(page: Page): Promise<number> {
  return Number(await page.getByRole('progressbar').getAttribute('value'));
}

/** A page on which somebody was asked to sign in, in the field, and has started a job. */
async function openJob(url: string): Promise<Page> {
  const page = await open(url);
  await page.locator('input:focus').waitFor();
  await signIn(page);
  await startJob(page);
  await eventually(async () => (await percent(page)) > 0);
  return page;
}

const signInWith = (url: string, body: unknown, headers?: object): Promise<Response> =>
  sendJson('POST', `${url}/session`, body, headers);

/** Signs in, also in place of the session of these headers. Resolves to the headers of the new one. */
async function session(url: string, user: string, headers?: object): Promise<{ Cookie: string }> {
  const response = await signInWith(url, { user }, headers);
  expect(response.status).toBe(204);
  return { Cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' };
}

inBrowser('a visitor who was signed out in another tab signs in, and sees the job to its end', async () => {
  const { url } = await startExample('job', { STEP_MS: '50' });
  const page = await openJob(url);
  const second = await openBeside(page, url);
  await second.getByRole('button', { name: 'Sign out' }).click();
  await signIn(page);
  await eventually(async () => (await percent(page)) > 0);
  await page.reload();
  await page.getByText('All done.').waitFor();
  expect(await percent(page)).toBe(100);

  let requests = 0;
  await page.route('**/jobs/*', (route) => {
    requests += 1;
    return route.fulfill({ status: 401 }); // which the session does not explain
  });
  await page.reload();
  await page.getByText('The server refused the stream (401)').waitFor();
  await setTimeout(1000);
  expect(requests).toBeLessThanOrEqual(2); // the stream, and HEAD for its status
});

inBrowser('what fails is told: sign-in, start and sign-out', async () => {
  const server = await startExample('job');
  const page = await openJob(server.url);
  const alert = page.getByRole('alert').filter({ hasText: 'The server can’t be reached.' });
  await server.stop();
  await page.getByText('No connection, trying again').waitFor();
  for (const name of ['Start a job', 'Sign out']) {
    await page.getByRole('button', { name }).click();
    await alert.waitFor();
  }
  const again = await startExample('job', { PORT: String(server.port) });
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Name').waitFor();
  await again.stop();
  await signIn(page);
  await alert.waitFor();
});

test('a name is a text of 1 to 100 characters from this site', async () => {
  const { url } = await startExample('job');
  const ada = { user: 'Ada' };
  for (const [body, headers, status] of [
    ['', {}, 400],
    ['{', {}, 400],
    ['{}', {}, 400],
    [{ user: 'x'.repeat(101) }, {}, 400],
    [{ user: ['Ada'] }, {}, 400],
    ['user=Ada', { 'Content-Type': 'application/x-www-form-urlencoded' }, 400],
    [ada, { Origin: 'https://other.example' }, 403],
    [ada, { Origin: 'null' }, 403],
    [ada, { Origin: url }, 204],
  ] as const) {
    const response = await signInWith(url, body, headers);
    expect([body, response.status]).toEqual([body, status]);
    expect(await response.text()).toMatch(status === 204 ? /^$/ : /^.+\n$/);
  }
});

test('a stream is for its user only, and ends with its session, which another replaces or which expires', async () => {
  const { url } = await startExample('job', { SESSION_MS: '6000' });
  const [ada, eve] = [await session(url, 'Ada'), await session(url, 'Eve')];
  const job = `${url}/jobs/a-job-of-ada-only`;
  for (let n = 0; n < 2; n += 1) expect((await fetch(job, { method: 'PUT', headers: ada })).status).toBe(201);
  const status = async (headers: HeadersInit): Promise<number> =>
    (await fetch(job, { method: 'HEAD', headers })).status;
  const cookies = [{}, { Cookie: 'session=x' }, eve, ada];
  expect(await Promise.all(cookies.map(status))).toEqual([401, 401, 404, 200]);
  const stream = await fetch(job, { headers: ada });
  const again = await session(url, 'Ada', ada);
  await stream.text();
  expect(await status(ada)).toBe(401);
  await (await fetch(job, { headers: again })).text();
  expect(await status(again)).toBe(401);
});

test('a session of 30 days lasts, jobs are limited, and what is over leaves', async () => {
  const long = await startExample('job', { SESSION_MS: String(30 * 86_400_000) });
  const cookie = await session(long.url, 'Ada');
  await setTimeout(1500);
  expect((await fetch(`${long.url}/session`, { headers: cookie })).status).toBe(204);

  const limits = { SESSION_MS: '3000', MAX_SESSIONS: '3', STEP_MS: '1', KEPT_MS: '1000', SWEEP_MS: '50' };
  const { url } = await startExample('job', limits);
  const ada = await session(url, 'Ada');
  const start = (n: number): Promise<Response> =>
    fetch(`${url}/jobs/a-limited-job-${n + 10}`, { method: 'PUT', headers: ada });
  const statuses: number[] = [];
  for (let n = 0; n < 11; n += 1) statuses.push((await start(n)).status);
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 201), 429]);
  await eventually(async () => (await start(11)).status === 201);
  await session(url, 'Eve');
  await session(url, 'Bob');
  expect((await signInWith(url, { user: 'Zoe' })).status).toBe(503);
  await eventually(async () => (await signInWith(url, { user: 'Zoe' })).status === 204);
});
