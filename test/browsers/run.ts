// Drives the built page in each browser that is installed: a killed server, a pause, back and forward. Needs
// `npm run build`. Node 20 has a WebSocket only with --experimental-websocket.
import { startServer } from '../support/processes.ts';
import { DRIVERS, until, type Driver, type Tab } from './drivers.ts';

const TICK_MS = '200';

/** More often than the six connections to a host that browsers allow themselves. */
const RETURNS = 8;

/** Keeps every number that the page has shown since it was loaded, in `window.shown`. */
const RECORD = `(() => {
  if (window.shown) return true;
  const timer = document.querySelector('[role=timer]');
  if (!timer) return false;
  window.shown = [];
  new MutationObserver(() => window.shown.push(Number(timer.textContent)))
    .observe(timer, { characterData: true, childList: true, subtree: true });
  return true;
})()`;

async function drive({ name, open }: Driver): Promise<void> {
  let server = await startServer({ TICK_MS });
  const { url, port } = server;
  const tab = await open();
  try {
    await tab.goto(url);
    await counts(tab);

    await server.stop();
    await until(
      async () => (await status(tab)).includes('reconnecting'),
      () => status(tab),
    );
    server = await startServer({ TICK_MS, PORT: String(port) });
    await counts(tab);

    await press(tab, 'Pause');
    await until(
      async () => (await status(tab)).includes('paused'),
      () => status(tab),
    );
    await holds(url, 0);
    await press(tab, 'Resume');
    await counts(tab);

    const kept: boolean[] = [];
    for (let n = 1; n <= RETURNS; n += 1) {
      const before = await number(tab);
      await tab.evaluate('(window.isKept = true)');
      await tab.goto(`${url}/health`);
      await tab.back();
      await record(tab);
      kept.push((await tab.evaluate('window.isKept')) === true);
      const after = await number(tab);
      if (after < before) throw new Error(`expected to go on from ${before}, found ${after}`);
      await counts(tab);
      await holds(url, 1);
    }
    await tab.goto(`${url}/health`);
    await tab.back();
    await tab.forward();
    await tab.back();
    await counts(tab);
    await holds(url, 1);
    const fromCache = kept.filter(Boolean).length;
    console.log(
      `${name}: goes on after a kill, a pause and ${RETURNS} returns, ${fromCache} of them from the back/forward cache`,
    );
  } finally {
    await tab.close();
    await server.stop();
  }
}

/** Waits until the page shows a number, and records those that follow. */
async function record(tab: Tab): Promise<void> {
  await until(
    () => tab.evaluate(RECORD),
    () => tab.evaluate('[location.href, document.documentElement.outerHTML]'),
  );
}

/** Waits for five more numbers; throws unless all since the page was loaded follow each other. */
async function counts(tab: Tab): Promise<void> {
  await record(tab);
  const before = Number(await tab.evaluate('window.shown.length'));
  await until(
    async () => Number(await tab.evaluate('window.shown.length')) >= before + 5,
    async () => [await status(tab), await tab.evaluate('window.shown')],
  );
  const isInOrder = await tab.evaluate(
    'window.shown.every((n, i) => i === 0 || n === window.shown[i - 1] + 1)',
  );
  if (isInOrder !== true) throw new Error(`expected 1, 2, 3, …, found ${await tab.evaluate('window.shown')}`);
}

/** Waits until the server has this many connections. */
async function holds(url: string, connections: number): Promise<void> {
  const count = async (): Promise<number> => {
    const body: { connections: number } = await (await fetch(`${url}/health`)).json();
    return body.connections;
  };
  await until(async () => (await count()) === connections, count);
}

async function status(tab: Tab): Promise<string> {
  return String(await tab.evaluate(`document.querySelector('[role=status]')?.textContent`));
}

async function number(tab: Tab): Promise<number> {
  return Number(await tab.evaluate(`document.querySelector('[role=timer]')?.textContent`));
}

async function press(tab: Tab, name: string): Promise<void> {
  await tab.evaluate(
    `[...document.querySelectorAll('button')].find((b) => b.textContent === '${name}').click()`,
  );
}

const names = process.argv.slice(2);
for (const driver of DRIVERS.filter(({ name }) => names.length === 0 || names.includes(name))) {
  if (driver.missing !== undefined)
    console.log(`${driver.name}: skipped, ${driver.missing} is not installed`);
  else await drive(driver);
}
