import { execFileSync } from 'node:child_process';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { isBrowserMissing } from '../support/browser.ts';
import { browserPages, openBeside, startExample } from '../support/examples.ts';
import { freePort, type ServerProcess } from '../support/processes.ts';
import { eventually } from '../support/testServer.ts';

const open = browserPages();
const inBrowser = test.skipIf(isBrowserMissing());

/** Starts the page on a port, and the API on the next one. */
async function startJob(env: NodeJS.ProcessEnv = {}): Promise<ServerProcess> {
  for (;;) {
    const [port, next] = [await freePort(), await freePort()];
    if (next === port + 1) return startExample('job', { PORT: String(port), STEP_MS: '30', ...env });
  }
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Name').fill('Ada');
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const startButton = (page: Page): ReturnType<Page['getByRole']> =>
  page.getByRole('button', { name: 'Start a job' });

async function percent(page: Page): Promise<number> {
  return Number(await page.getByRole('progressbar').getAttribute('value'));
}

inBrowser('a visitor is asked to sign in, and sees the job to its end, also after a reload', async () => {
  const { url } = await startJob();
  const page = await open(url);
  await startButton(page).click();
  await signIn(page);
  await startButton(page).click();
  await eventually(async () => (await percent(page)) > 5);
  await page.reload();
  await page.getByRole('status').filter({ hasText: 'All done.' }).waitFor();
  expect(await percent(page)).toBe(100);
});

inBrowser('a session that ends takes its streams with it, and the page offers to sign in', async () => {
  const { url } = await startJob({ STEP_MS: '200' });
  const page = await open(url);
  await startButton(page).click();
  await signIn(page);
  await startButton(page).click();
  await eventually(async () => (await percent(page)) > 0);
  const second = await openBeside(page, url);
  await second.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  const before = await page.evaluate(() => location.hash);
  await signIn(page);
  await eventually(async () => (await percent(page)) > 0);
  expect(await page.evaluate(() => location.hash)).toBe(before);
});

inBrowser('a session that expires does the same', async () => {
  const { url } = await startJob({ STEP_MS: '100', SESSION_MS: '1500' });
  const page = await open(url);
  await startButton(page).click();
  await signIn(page);
  await startButton(page).click();
  await eventually(async () => (await percent(page)) > 0);
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
});

inBrowser('each attempt has a fresh token, and no log has any', async () => {
  const server = await startJob({ STEP_MS: '500', TOKEN_MS: '60000' });
  const page = await open('about:blank');
  const tokens = new Set<string>();
  page.on('request', (request) => tokens.add(new URL(request.url()).searchParams.get('token') ?? ''));
  await page.clock.install();
  await page.goto(`${server.url}/?token`);
  await startButton(page).click();
  await signIn(page);
  await startButton(page).click();
  await eventually(async () => (await percent(page)) > 0);
  const before = await percent(page);
  await page.clock.fastForward(45_000); // the token is renewed, and the watchdog fires
  await eventually(() => tokens.size === 3); // '' is of all other requests
  await eventually(async () => (await percent(page)) > before);
  tokens.delete('');
  for (const token of tokens) expect(server.output()).not.toContain(token);
  expect(server.output()).toMatch(/^GET \/jobs\/[\w-]+$/m);
});

inBrowser('a token that has expired is no reason to sign in again', async () => {
  const server = await startJob({ STEP_MS: '200', TOKEN_MS: '500' });
  const page = await open('about:blank');
  await page.clock.install();
  await page.goto(`${server.url}/?token`);
  await startButton(page).click();
  await signIn(page);
  await startButton(page).click();
  await eventually(async () => (await percent(page)) > 2);
  const before = await percent(page);
  const refused = page.waitForResponse((response) => response.status() === 401);
  await page.context().setOffline(true); // so that the token can't be renewed
  await page.clock.fastForward(45_000);
  await page.context().setOffline(false);
  await refused;
  await eventually(async () => (await percent(page)) > before);
  expect(await page.getByRole('button', { name: 'Sign in' }).count()).toBe(0);
});

test('without a session, or with that of another user, curl gets a refusal that a page may read', async () => {
  const { port } = await startJob();
  const api = `http://localhost:${port + 1}`;
  const origin = { Origin: `http://localhost:${port}` };
  const cookieOf = async (user: string): Promise<{ Cookie: string }> => {
    const response = await fetch(`${api}/session`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user }),
    });
    return { Cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' };
  };
  const [ada, eve] = [await cookieOf('Ada'), await cookieOf('Eve')];
  const { id }: { id: string } = await (await fetch(`${api}/jobs`, { method: 'POST', headers: ada })).json();
  for (const [headers, status] of [
    [origin, 401],
    [{ ...origin, Cookie: 'session=x' }, 401],
    [{ ...origin, ...eve }, 404],
    [{ ...origin, ...ada }, 200],
  ] as const) {
    const args = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const head = execFileSync('curl', ['-sI', ...args, `${api}/jobs/${id}`], { encoding: 'utf8' });
    expect(head).toContain(`HTTP/1.1 ${status} `);
    expect(head).toContain(`Access-Control-Allow-Origin: ${origin.Origin}`);
    expect(head).toContain('Access-Control-Allow-Credentials: true');
  }
});
