import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { launchBrowser } from './browser.ts';
import { startServer } from './processes.ts';

const folder = join(import.meta.dirname, '..', 'screenshots');

// Run with `node --import tsx e2e/support/screenshots.ts`: pictures of the built page, light.png for README.
await mkdir(folder, { recursive: true });
const browser = await launchBrowser();
let server = await startServer();
try {
  const wide = { width: 1120, height: 640 };
  const pages = {
    light: await open({ viewport: wide, colorScheme: 'light' }),
    dark: await open({ viewport: wide, colorScheme: 'dark' }),
    phone: await open({ viewport: { width: 390, height: 844 }, colorScheme: 'light' }),
    narrow: await open({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' }),
  };
  await Promise.all(Object.values(pages).map((page) => untilShown(page, 5)));
  const { port } = new URL(server.url);
  await server.stop();
  await pages.light.getByText(/reconnecting, attempt [^1]/).waitFor();
  await pages.light.screenshot({ path: join(folder, 'reconnecting.png') });
  server = await startServer({ PORT: port });
  await Promise.all(Object.values(pages).map((page) => untilShown(page, 9)));
  for (const [name, page] of Object.entries(pages)) {
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: name !== 'light' });
  }
} finally {
  await browser.close();
  await server.stop();
}

async function open(options: Parameters<typeof browser.newPage>[0]): Promise<Page> {
  const page = await browser.newPage(options);
  await page.goto(server.url);
  return page;
}

async function untilShown(page: Page, n: number): Promise<void> {
  await page.waitForFunction(
    (wanted) => Number(document.querySelector('[role="timer"]')?.textContent) >= wanted,
    n,
  );
}
