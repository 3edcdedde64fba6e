// Prints what a message costs a page: `subscribe` beside a bare EventSource, each in turn, in Chromium.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { transformWithOxc } from 'vite';
import type { subscribe } from '../client/subscribe.ts';
import { launchBrowser } from '../test/support/browser.ts';
import { median, printTable, spread } from './report.ts';

const ROUNDS = 5;
const MESSAGES = 40_000;
const FRAMES = Array.from({ length: MESSAGES }, (_, i) => `id: ${i + 1}\ndata: ${i + 1}\n\n`).join('');
const PAGE = `<!doctype html><script type="module">
  import { subscribe } from '/subscribe.js';
  window.subscribe = subscribe;
</script>`;

const source = await readFile(new URL('../client/subscribe.ts', import.meta.url), 'utf8');
const script = (await transformWithOxc(source, 'subscribe.ts')).code;
const server = createServer((req, res) => {
  if (req.url === '/') return res.setHeader('Content-Type', 'text/html').end(PAGE);
  if (req.url === '/subscribe.js') return res.setHeader('Content-Type', 'text/javascript').end(script);
  return res.setHeader('Content-Type', 'text/event-stream').write(FRAMES);
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => 'subscribe' in window);
  const times: Record<'subscribe' | 'EventSource', number[]> = { subscribe: [], EventSource: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of ['subscribe', 'EventSource'] as const) {
      const ms = await page.evaluate(run, [name, MESSAGES] as const);
      if (round > 0) times[name].push((1000 * ms) / MESSAGES); // the first round warms up
    }
  }
  const ratios = times.subscribe.map((time, round) => time / (times.EventSource[round] ?? NaN));
  printTable(
    'The client in Chromium: µs a message, of many that arrive at once',
    ['`subscribe`', 'a bare EventSource', 'ratio'],
    [[spread(times.subscribe), spread(times.EventSource), median(ratios).toFixed(2)]],
  );
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}

/** In the page: the time from the first message to the last, ms. */
function run([name, messages]: readonly ['subscribe' | 'EventSource', number]): Promise<number> {
  return new Promise((resolve) => {
    let count = 0;
    let startedAt = 0;
    // A method: tsx wraps other functions in a helper that the page does not have.
    const handlers = {
      message({ data }: MessageEvent<string>) {
        if (data !== '') count += 1;
        if (count === 1) startedAt = performance.now();
        if (count < messages) return;
        opened.close();
        resolve(performance.now() - startedAt);
      },
    };
    const opened = name === 'subscribe' ? window.subscribe('/stream', handlers) : new EventSource('/stream');
    if (opened instanceof EventSource) opened.addEventListener('message', handlers.message);
  });
}

declare global {
  interface Window {
    subscribe: typeof subscribe;
  }
}
