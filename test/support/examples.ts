import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { isBrowserMissing, launchBrowser } from './browser.ts';
import { launch, listening, type ServerProcess } from './processes.ts';
import { startReader, type Reader } from './reader.ts';

export const examplesFolder = join(import.meta.dirname, '..', '..', 'examples');

/** Starts an example's server on a free port, as its README says. It stops when the test has finished. */
export async function startExample(name: string, env: NodeJS.ProcessEnv = {}): Promise<ServerProcess> {
  const command = [process.execPath, '--import', 'tsx', join(examplesFolder, name, 'server.ts')];
  const server = await listening(launch(command, { env: { PORT: '0', HOST: '127.0.0.1', ...env } }));
  onTestFinished(server.stop);
  return server;
}

/** Sends JSON, or text as it is. */
export function sendJson(
  method: string,
  url: string,
  body: unknown,
  headers?: object,
  signal?: AbortSignal,
): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const all = { 'Content-Type': 'application/json', ...headers };
  return fetch(url, { method, headers: all, body: text, signal: signal ?? null });
}

/** Reads a stream until the test has finished. */
export function read(url: string, id?: string, headers?: Record<string, string>): Reader {
  const reader = startReader(url, id, headers);
  onTestFinished(reader.leave);
  return reader;
}

/** Starts a browser for the tests of a file. Returns what opens a page with cookies of its own. */
export function browserPages(): (url: string) => Promise<Page> {
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (!isBrowserMissing()) browser = await launchBrowser();
  });
  afterAll(() => browser?.close());
  return async (url) => {
    if (!browser) throw new Error('expected a browser');
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    context.setDefaultTimeout(90_000); // while its server starts, a page's backoff grows to 30 s
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };
}

/** Goes to `url` in a new tab beside `page`, with the same cookies. */
export async function openBeside(page: Page, url: string): Promise<Page> {
  const tab = await page.context().newPage();
  await tab.goto(url);
  return tab;
}
