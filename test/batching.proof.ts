import { join } from 'node:path';
import type { ServerResponse } from 'node:http';
import { build, type Rollup } from 'vite';
import { expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, launchBrowser, POLLING } from './support/browser.ts';
import { eventually, listen } from './support/testServer.ts';

/** A heavy component. */
const RENDER_MS = 8;
const MESSAGES_PER_S = 150;

/** The longest that a page may not answer, ms. */
const BUSY_MS = 50;
const REPLAY_MS = 150;

test.skipIf(isBrowserMissing())(
  'a page with a heavy component answers, at 150 messages a second and in a replay',
  async () => {
    const output = await build({
      configFile: false,
      logLevel: 'error',
      build: {
        write: false,
        rolldownOptions: { input: join(import.meta.dirname, 'support/hookPage.tsx') },
      },
    });
    const {
      output: [{ code }],
    } = output as Rollup.RollupOutput;
    let stream: ServerResponse | undefined;
    const server = await listen((req, res) => {
      if (req.url === '/')
        return res
          .setHeader('Content-Type', 'text/html')
          .end('<body><script type="module" src="/script.js"></script>');
      if (req.url === '/script.js') return res.setHeader('Content-Type', 'text/javascript').end(code);
      if (req.url !== '/stream') return res.writeHead(404).end();
      stream = res;
      return res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    });
    const browser = await launchBrowser();
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.port}/`);
    await page.waitForFunction(() => window.hook?.status.state === 'open');
    await page.evaluate((renderMs) => (window.hook.renderMs = renderMs), RENDER_MS);

    let sent = 0;
    const frames = (n: number): string =>
      Array.from({ length: n }, () => `id: ${(sent += 1)}\ndata: ${sent}\n\n`).join('');
    /**
     * The longest task of the page while it receives what `play` sends: as time of the CPU, which another
     * program cannot lengthen, and on the clock.
     */
    const longestTask = async (play: () => unknown): Promise<{ cpuMs: number; clockMs: number }> => {
      await browser.startTracing(page, { categories: ['toplevel'] });
      await play();
      await page.waitForFunction((n) => window.hook.received.length >= n, sent, POLLING);
      const { traceEvents }: Trace = JSON.parse(String(await browser.stopTracing()));
      const main = traceEvents.find(
        ({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain',
      );
      const tasks = traceEvents.filter(({ pid, tid }) => pid === main?.pid && tid === main?.tid);
      const longest = (what: 'tdur' | 'dur'): number =>
        Math.max(...tasks.map((task) => (task[what] ?? 0) / 1000));
      return { cpuMs: longest('tdur'), clockMs: longest('dur') };
    };

    const busy = await longestTask(async () => {
      const timer = setInterval(() => stream?.write(frames(1)), 1000 / MESSAGES_PER_S);
      await eventually(() => sent >= 5 * MESSAGES_PER_S);
      clearInterval(timer);
    });
    const replay = await longestTask(() => stream?.write(frames(3000)));
    const text = ({ cpuMs, clockMs }: typeof busy): string =>
      `${cpuMs.toFixed(0)} ms of CPU, ${clockMs.toFixed(0)} ms on the clock`;
    console.log(`longest task at ${MESSAGES_PER_S} messages a second: ${text(busy)}`);
    console.log(`longest task in a replay of 3,000: ${text(replay)}`);
    expect(busy.cpuMs).toBeGreaterThan(1);
    expect(busy.cpuMs).toBeLessThan(BUSY_MS);
    expect(replay.cpuMs).toBeLessThan(REPLAY_MS);
  },
);

interface Trace {
  traceEvents: {
    name: string;
    pid: number;
    tid: number;
    dur?: number;
    tdur?: number;
    args?: { name?: string };
  }[];
}
