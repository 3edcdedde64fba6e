import { join } from 'node:path';
import express, { type RequestHandler } from 'express';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { launchBrowser } from './browser.ts';
import { createApp } from '../../server/app.ts';
import { servePage } from '../../server/page.ts';
import { recordShown } from './shown.ts';
import { listen } from './testServer.ts';

const pageFolder = join(import.meta.dirname, '..', '..', 'dist');

/** A browser that opens the built page. */
export interface BuiltPage {
  /**
   * Opens the page; `before` runs there ahead of its scripts. `complaints` collects uncaught errors and all
   * console messages, such as violations of the Content-Security-Policy.
   */
  open(url: string, before?: () => unknown): Promise<{ page: Page; complaints: string[] }>;
}

/** Starts a browser for the tests of a `describe`, and closes it after them. */
export function builtPage(): BuiltPage {
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    browser = await launchBrowser();
    context = await browser.newContext();
  });
  afterAll(() => browser.close());

  return {
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

/** Serves the built page and its stream, a number every `tickMs`. Returns the URL. */
export async function ticking(tickMs: number): Promise<string> {
  const { port } = await listen(createApp({ tickMs, pageFolder }).app);
  return `http://127.0.0.1:${port}`;
}

/** Serves the built page, with `answer` at `/count` instead of its stream. Returns the URL. */
export async function serve(answer: RequestHandler): Promise<string> {
  const { port } = await listen(express().get('/count', answer).use(servePage(pageFolder)));
  return `http://127.0.0.1:${port}`;
}
