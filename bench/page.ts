/** Prints what the page costs in the browser while nothing but the counting happens. Needs Linux. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { launchBrowser } from '../test/support/browser.ts';
import { startServer } from '../test/support/processes.ts';
import { cpuMicroseconds } from './processes.ts';

const ROUNDS = 3;
const SETTLE_MS = 8000;
const MEASURED_MS = 20_000;

const server = await startServer();
const browser = await launchBrowser();
try {
  for (let round = 0; round < ROUNDS; round++) {
    console.log(
      `an empty page: ${await cost('about:blank')} %, the counter’s page: ${await cost(server.url)} %`,
    );
  }
} finally {
  await browser.close();
  await server.stop();
}

/** The CPU of all processes of the browser while it shows a page that has settled. */
async function cost(url: string): Promise<string> {
  const page = await browser.newPage();
  await page.goto(url);
  await sleep(SETTLE_MS);
  const before = browserCpu();
  await sleep(MEASURED_MS);
  const share = (browserCpu() - before) / 1000 / MEASURED_MS;
  await page.close();
  return (100 * share).toFixed(1);
}

function browserCpu(): number {
  return descendants(process.pid)
    .filter((pid) => pid !== server.child.pid)
    .reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
}

function descendants(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}
