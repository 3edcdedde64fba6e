import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { browserPath, isBrowserMissing, launchBrowser } from '../e2e/support/browser.ts';
import { startServer } from './processes.ts';

const TICK_MS = 1000;
const NAVIGATIONS = 5;
const FRAMES = 10;
const assets = join(import.meta.dirname, '../dist/assets');

/** What notes.js notes in the page: times in ms since the navigation. */
interface Notes {
  firstNumberAt: number;
  commits: number;
  longTasks: number[];
}

declare global {
  var notes: Notes;
}

/** The built page: its size, and what it does in a real browser, as rows for a table. */
export async function measurePage(): Promise<string[][]> {
  const sizes = ['.js', '.css'].map((end) => [
    `page: ${end.slice(1).toUpperCase()}, gzipped`,
    `${kilobytes(end)} kB`,
  ]);
  if (isBrowserMissing()) return [...sizes, ['page in a browser', 'not measured']];

  const server = await startServer('this server', TICK_MS);
  const browser = await launchBrowser({ executablePath: browserPath });
  try {
    const firstNumbers: number[] = [];
    for (let i = 0; i < NAVIGATIONS; i += 1) {
      const page = await browser.newPage();
      await page.addInitScript({ path: join(import.meta.dirname, 'notes.js') });
      await page.goto(`http://localhost:${server.port}/`);
      await page.waitForFunction(() => globalThis.notes.firstNumberAt > 0);
      firstNumbers.push((await page.evaluate(() => globalThis.notes.firstNumberAt)) - TICK_MS);
      if (i < NAVIGATIONS - 1) await page.close();
    }
    const [page] = browser.contexts().flatMap((context) => context.pages());
    if (page === undefined) throw new Error('expected the last page to be open');
    const before = await page.evaluate(() => globalThis.notes.commits);
    await page.waitForTimeout(FRAMES * TICK_MS);
    const { commits, longTasks } = await page.evaluate(() => globalThis.notes);
    firstNumbers.sort((a, b) => a - b);
    return [
      ...sizes,
      [
        'page: from navigation to the first number painted, beyond its second',
        `${firstNumbers.map((ms) => ms.toFixed(0)).join(', ')} ms`,
      ],
      [`page: React commits a frame, over ${FRAMES} s`, ((commits - before) / FRAMES).toFixed(1)],
      [
        'page: tasks longer than 50 ms',
        longTasks.length === 0 ? 'none' : `${longTasks.map((ms) => ms.toFixed(0)).join(', ')} ms`,
      ],
    ];
  } finally {
    await browser.close();
    await server.stop();
  }
}

function kilobytes(end: string): string {
  const files = readdirSync(assets).filter((name) => name.endsWith(end));
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).length, 0);
  return (bytes / 1000).toFixed(1);
}
