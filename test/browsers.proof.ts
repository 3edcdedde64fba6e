import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch as launchBrowser, type SupportedBrowser } from 'puppeteer-core';
import { expect, onTestFinished, test } from 'vitest';
import { browserPath, programPath } from './support/browser.ts';
import { freePort, launch, listeningOn } from './support/processes.ts';
import { eventually, serverProcess } from './support/testServer.ts';

const TICK_MS = '100';

/** WebKit draws without a graphics card, and its driver loses answers. */
const TIMEOUT_MS = 600_000;

/** More often than the six connections to a host that browsers allow themselves. */
const RETURNS = 7;

/** One tab of a browser. */
interface Tab {
  goto(url: string): Promise<unknown>;
  back(): Promise<unknown>;
  forward(): Promise<unknown>;
  /** The value of an expression in the page. */
  evaluate(expression: string): Promise<unknown>;
}

const firefoxPath = programPath('firefox-esr', 'firefox');
const miniBrowserPath = ['x86_64', 'aarch64']
  .flatMap((machine) =>
    ['4.0', '4.1'].map((api) => `/usr/lib/${machine}-linux-gnu/webkit2gtk-${api}/MiniBrowser`),
  )
  .find((path) => existsSync(path));
const webKitPaths = [miniBrowserPath, programPath('WebKitWebDriver'), programPath('Xvfb')];

/**
 * `isKept`: whether the page comes back from the back/forward cache. Firefox keeps no page there whose
 * EventSource was open when it was left; in WebKit helmet's `Cross-Origin-Opener-Policy` prevents it.
 */
const BROWSERS = [
  { name: 'Chromium', missing: !browserPath, open: () => openTab('chrome', browserPath), isKept: true },
  { name: 'Firefox', missing: !firefoxPath, open: () => openTab('firefox', firefoxPath), isKept: false },
  { name: 'WebKit', missing: webKitPaths.includes(undefined), open: openWebKit, isKept: false },
];

for (const { name, missing, open, isKept } of BROWSERS) {
  test.skipIf(missing)(
    `${name} counts on after a kill, a pause, and back and forward`,
    { timeout: TIMEOUT_MS },
    async () => {
      const server = await serverProcess({ TICK_MS });
      const tab = await open();
      const until = (expression: string): Promise<unknown> => eventually(() => tab.evaluate(expression));
      const untilState = (state: string): Promise<unknown> =>
        until(`document.querySelector('[role=status]').dataset.state === '${state}'`);
      const press = (button: string): Promise<unknown> =>
        tab.evaluate(
          `[...document.querySelectorAll('button')].find((b) => b.textContent === '${button}').click()`,
        );
      const connections = async (): Promise<unknown> => (await fetch(`${server.url}/health`)).json();

      /** Waits for five more numbers, each of which follows the one before. Returns the last. */
      async function counts(): Promise<number> {
        await until(RECORD);
        await until(`shown.length >= ${Number(await tab.evaluate('shown.length')) + 5}`);
        const [first, ...more] = JSON.parse(String(await tab.evaluate('JSON.stringify(shown)')));
        expect(more).toEqual(more.map((_: number, i: number) => first + 1 + i));
        return more.at(-1);
      }

      await tab.goto(server.url);
      await counts();

      await server.stop();
      await untilState('reconnecting');
      await serverProcess({ TICK_MS, PORT: String(server.port) });
      await counts();

      await press('Pause');
      await untilState('paused');
      await expect.poll(connections).toMatchObject({ connections: 0 });
      await press('Resume');

      for (let n = 1; n <= RETURNS; n += 1) {
        const before = await counts();
        await expect.poll(connections).toMatchObject({ connections: 1 });
        await tab.goto(`${server.url}/health`);
        await tab.back();
        expect(await tab.evaluate("'shown' in window")).toBe(isKept);
        expect(await counts()).toBeGreaterThan(before);
      }
      await tab.forward();
      await tab.back();
      await counts();
      await expect.poll(connections).toMatchObject({ connections: 1 });
    },
  );
}

/** Keeps every number that the page shows from now on in `shown`. */
const RECORD = `(() => {
  if (window.shown) return true;
  const timer = document.querySelector('[role=timer]');
  if (!timer) return false;
  window.shown = [];
  new MutationObserver(() => shown.push(Number(timer.textContent)))
    .observe(timer, { characterData: true, childList: true, subtree: true });
  return true;
})()`;

/** Opens Chromium, by its own protocol, or Firefox, by WebDriver BiDi. It is closed with the test. */
async function openTab(browser: SupportedBrowser, executablePath?: string): Promise<Tab> {
  const launched = await launchBrowser({
    browser,
    ...(executablePath !== undefined && { executablePath }),
    args: browser === 'chrome' && process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
  onTestFinished(() => launched.close());
  const page = await launched.newPage();
  return {
    goto: (url) => page.goto(url),
    back: () => page.goBack(),
    forward: () => page.goForward(),
    evaluate: (expression) => page.evaluate(expression),
  };
}

/** Opens WebKitGTK, by WebDriver, on a display of its own. It is closed with the test. */
async function openWebKit(): Promise<Tab> {
  const [miniBrowser = '', driver = '', xvfb = ''] = webKitPaths;
  const display = launch([xvfb, '-displayfd', '1'], { signal: 'SIGTERM' });
  onTestFinished(display.stop);
  const [number] = await eventually(() => /^\d+(?=\n)/m.exec(display.output()));
  const env = { DISPLAY: `:${number}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' };
  const port = await freePort();
  const { url, stop } = await listeningOn(
    port,
    launch([driver, `--port=${port}`], { env, signal: 'SIGTERM' }),
  );
  onTestFinished(stop);

  const send = async <Value>(path: string, body: object = {}, ms = 30_000): Promise<Value> => {
    const init = { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(ms) };
    const answer = await fetch(`${url}/session${path}`, init);
    const { value }: { value: Value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(value)}`);
    return value;
  };
  const options = { binary: miniBrowser, args: ['--automation'] };
  // The driver does not notice that a page from the back/forward cache is complete; with `none` it does not wait.
  const alwaysMatch = { pageLoadStrategy: 'none', 'webkitgtk:browserOptions': options };
  const { sessionId } = await send<{ sessionId: string }>('', { capabilities: { alwaysMatch } });
  const evaluate = (expression: string, ms?: number): Promise<unknown> =>
    send(`/${sessionId}/execute/sync`, { script: `return ${expression}`, args: [] }, ms);
  const move = async (path: string, body?: object): Promise<void> => {
    const from = await evaluate('(window.from = Math.random())');
    await send(`/${sessionId}/${path}`, body);
    // The driver never answers a script that it was given while the page went.
    const isThere = `window.from !== ${from} && document.readyState === 'complete'`;
    do await sleep(200);
    while (!(await evaluate(isThere, 2000).catch(() => false)));
  };
  onTestFinished(async () => void (await fetch(`${url}/session/${sessionId}`, { method: 'DELETE' })));
  return {
    goto: (to) => move('url', { url: to }),
    back: () => move('back'),
    forward: () => move('forward'),
    evaluate,
  };
}
