import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { launchBrowser, untilShown } from './browser.ts';
import { copyProject } from './copyProject.ts';
import { startDevServer, type ServerProcess } from './processes.ts';
import { expectToGoOn, recordShown } from './shown.ts';

/** A copy of the project under `npm run dev`, and its page, for all tests of a `describe`. */
export interface DevPage {
  page(): Page;
  /** Where the copy is. */
  folder(): string;
  /** Changes a file, and returns what restores it. */
  edit(file: string, change: (text: string) => string): Promise<() => Promise<void>>;
  fetch(path: string): Promise<Response>;
}

/** Starts the server and opens the page. After each test, the count goes on without a reload. */
export function devPage(): DevPage {
  let folder: string;
  let server: ServerProcess;
  let browser: Browser;
  let page: Page;
  let loads = 0;

  beforeAll(async () => {
    folder = await copyProject();
    [server, browser] = await Promise.all([startDevServer({ TICK_MS: '200' }, folder), launchBrowser()]);
    page = await browser.newPage();
    page.on('load', () => (loads += 1));
    await recordShown(page);
    await page.goto(server.url);
    await untilShown(page, 2);
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true, maxRetries: 5 });
  });
  afterEach(async () => {
    await expectToGoOn(page, 3);
    expect(loads).toBe(1);
  });

  return {
    page: () => page,
    folder: () => folder,
    async edit(file, change) {
      const path = join(folder, file);
      const text = await readFile(path, 'utf8');
      const edited = change(text);
      if (edited === text) throw new Error(`${file}: expected a change, found the same text`);
      await writeFile(path, edited);
      return () => writeFile(path, text);
    },
    fetch: (path) => fetch(server.url + path),
  };
}
