import { join } from 'node:path';
import express, { type RequestHandler } from 'express';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { launchBrowser } from './browser.ts';
import { startServer, type ServerProcess } from './processes.ts';
import { servePage } from '../../server/page.ts';
import { recordShown } from './shown.ts';
import { listen } from './testServer.ts';

/** How the page's conversation tells of an answer. */
export const ANSWER = '← 200\nContent-Type: text/event-stream';

/** What tests of the built page share: a browser, and servers by how they tick. */
export interface BuiltPage {
  /** Where a server ticks that tests share, since each connection counts on its own. */
  ticking(tickMs: number): Promise<string>;
  /**
   * Opens the page; `before` runs in it before its own scripts. All that reaches the console, such as
   * violations of its Content-Security-Policy, and uncaught errors are in `complaints`.
   */
  open(url: string, before?: () => unknown): Promise<{ page: Page; complaints: string[] }>;
}

/** Starts what the tests of a `describe` ask for, and ends it when they are done. */
export function builtPage(): BuiltPage {
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    browser = await launchBrowser();
    context = await browser.newContext();
  });
  const servers = new Map<number, Promise<ServerProcess>>();
  afterAll(async () => {
    await browser.close();
    for (const server of servers.values()) await (await server).stop();
  });

  return {
    async ticking(tickMs) {
      const server = servers.get(tickMs) ?? startServer({ TICK_MS: String(tickMs) });
      servers.set(tickMs, server);
      return (await server).url;
    },
    async open(url, before = () => {}) {
      const page = await context.newPage();
      onTestFinished(() => page.close());
      const complaints: string[] = [];
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      await recordShown(page);
      await page.addInitScript(before);
      await page.goto(url);
      return { page, complaints };
    },
  };
}

/** Serves the built page with another stream at `/count`. */
export async function serve(answer: RequestHandler): Promise<string> {
  const page = servePage(join(import.meta.dirname, '..', '..', 'dist'));
  const { port } = await listen(express().get('/count', answer).use(page));
  return `http://127.0.0.1:${port}`;
}
