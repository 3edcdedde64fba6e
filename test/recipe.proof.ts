import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser, untilShown } from './support/browser.ts';
import { copyProject } from './support/copyProject.ts';
import { startDevServer } from './support/processes.ts';
import { conversation, recordShown, shown, untilStatus } from './support/shown.ts';

test.skipIf(isBrowserMissing())(
  'another event without an id, as README adds it, is told as it was sent, and a restart of npm run dev loses nothing',
  async () => {
    const folder = await copyProject();
    onTestFinished(() => rm(folder, { recursive: true, maxRetries: 5 }));
    const edit = async (file: string, from: string, to: string): Promise<void> => {
      const path = join(folder, file);
      const text = await readFile(path, 'utf8');
      if (!text.includes(from)) throw new Error(`expected ${from} in ${file}`);
      await writeFile(path, text.replace(from, to));
    };
    await edit(
      'server/app.ts',
      'stream.send({ id: n, data: n })',
      "{ stream.send({ id: n, data: n }); stream.send({ event: 'minute', data: `12:${n}\\nUTC` }); }",
    );
    await edit('client/App.tsx', '{ message: show }', '{ message: show, minute: record }');

    const server = await startDevServer({ TICK_MS: '100' }, folder);
    onTestFinished(server.stop);
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await recordShown(page);
    await page.addInitScript(() => (Math.random = () => 0.5)); // half a second of backoff
    await page.goto(server.url);

    for (const n of [5, 10, 15]) {
      await untilShown(page, n);
      await page.getByRole('button', { name: 'Cut the connection' }).click();
      await untilStatus(page, /^reconnecting/);
      await untilStatus(page, /^open · resumed after \d+, nothing lost$/);
    }
    await untilShown(page, 20);
    await page.getByRole('button', { name: 'Pause' }).click();
    await untilStatus(page, /^paused$/);
    const numbers = await shown(page);
    expect(numbers).toEqual(numbers.map((_, n) => n));

    const last = numbers.at(-1) ?? 0;
    const told = (await conversation(page)).map((entry) => entry.trimEnd());
    const messages = told.filter((entry) => /^(id|event|data):/.test(entry));
    // Each once and in order, with its own fields; a cut may come between a number and its minute.
    const ids = messages.filter((entry) => entry.startsWith('id:'));
    const lines = numbers.slice(1).map((n) => `id: ${n}\ndata: ${n}`);
    expect(ids).toEqual(lines.slice(-ids.length));
    const minutes = messages.filter((entry) => entry.startsWith('event:'));
    expect(minutes.length + 4).toBeGreaterThanOrEqual(ids.length);
    expect(new Set(minutes).size).toBe(minutes.length);
    for (const minute of minutes) expect(minute).toMatch(/^event: minute\ndata: 12:\d+\ndata: UTC$/);
    expect(complaints).toEqual([]);
    await page.getByRole('button', { name: 'Resume' }).click();

    await untilShown(page, last + 3);
    await server.stop();
    await untilStatus(page, /^reconnecting/);
    const before = Math.max(...(await shown(page)));
    const loaded = page.waitForEvent('load'); // Vite reloads the page when its own server is back
    const again = await startDevServer({ TICK_MS: '100', PORT: new URL(server.url).port }, folder);
    onTestFinished(again.stop);
    await loaded;
    await untilShown(page, before + 3);
    const [first = 0, ...rest] = await shown(page);
    expect(first).toBeGreaterThanOrEqual(before);
    expect(rest).toEqual(rest.map((_, i) => first + 1 + i));
  },
);
