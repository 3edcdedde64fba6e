import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { createApp } from '../../server/app.ts';
import { launchBrowser, untilShown } from './browser.ts';

// Run with `node --import tsx test/support/screenshots.ts` after a build: each state of the page in
// screenshots/, and light.png for README. Port 7000 must be free, because it is in the pictures.
const folder = join(import.meta.dirname, '..', 'screenshots');
const PORT = 7000;

const desktop = { width: 1280, height: 800 };
const LOOKS: Record<string, BrowserContextOptions> = {
  light: { viewport: desktop, colorScheme: 'light' },
  dark: { viewport: desktop, colorScheme: 'dark' },
  forced: { viewport: desktop, colorScheme: 'dark', forcedColors: 'active' },
  wide: { viewport: { width: 1920, height: 1080 }, colorScheme: 'light' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light' },
  narrow: { viewport: { width: 320, height: 640 }, colorScheme: 'dark' },
  narrowest: { viewport: { width: 280, height: 653 }, colorScheme: 'light' },
};

const { app } = createApp({ pageFolder: join(import.meta.dirname, '..', '..', 'dist') });
let answer: RequestListener = app;
const server = createServer((req, res) => (req.url?.startsWith('/count') ? answer : app)(req, res));
server.listen(PORT, 'localhost');
await once(server, 'listening');
await mkdir(folder, { recursive: true });
const browser = await launchBrowser();
try {
  const pages = await Promise.all(
    Object.entries(LOOKS).map(async ([name, options]) => ({ name, page: await browser.newPage(options) })),
  );
  const each = (act: (page: Page) => Promise<unknown>): Promise<unknown> =>
    Promise.all(pages.map(({ page }) => act(page)));
  const picture = async (state: string): Promise<void> => {
    for (const { name, page } of pages) {
      await page.screenshot({ path: join(folder, `${state}-${name}.png`), fullPage: true });
    }
  };

  answer = () => {};
  await each((page) => page.goto(`http://localhost:${PORT}`));
  await picture('connecting');

  answer = app;
  await cut();
  await each((page) => untilShown(page, 7));
  await picture('open');

  answer = (_req, res) => res.writeHead(503).end();
  await cut();
  await seconds(3);
  await picture('lost');
  await seconds(17);
  await picture('down');

  answer = app;
  await each((page) => untilShown(page, 10));
  await picture('resumed');

  await each((page) => page.getByRole('button', { name: 'Pause' }).click());
  await seconds(3);
  await picture('paused');

  answer = (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write('event: minute\ndata: 17:04\ndata: UTC\n\nid: 13\ndata: thirteen\n\n');
  };
  await each((page) => page.getByRole('button', { name: 'Resume' }).click());
  await each((page) => page.getByRole('alert').waitFor());
  await picture('text');

  answer = (_req, res) => res.writeHead(401).end();
  await cut();
  await each((page) => page.getByText('closed · 401').waitFor());
  await picture('closed');

  answer = app;
  await each((page) =>
    page.evaluate(() => sessionStorage.setItem('last event ID of /count', '1000000000000000')),
  );
  await each((page) => page.reload());
  await each((page) => untilShown(page, 1_000_000_000_000_004));
  await picture('digits');

  // README's: an outage so short that both of its ends are on the line.
  const page = await browser.newPage({ viewport: { width: 1120, height: 700 }, colorScheme: 'light' });
  await page.goto(`http://localhost:${PORT}`);
  await untilShown(page, 5);
  await cut();
  await untilShown(page, 9);
  await page.screenshot({ path: join(folder, 'light.png') });
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}

async function cut(): Promise<void> {
  server.closeAllConnections();
  await seconds(0.1);
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}
