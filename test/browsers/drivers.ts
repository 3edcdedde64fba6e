import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { browserPath, launchBrowser, programPath } from '../support/browser.ts';
import { freePort, launch, listeningOn } from '../support/processes.ts';

/** One tab of a browser. */
export interface Tab {
  goto(url: string): Promise<unknown>;
  back(): Promise<unknown>;
  forward(): Promise<unknown>;
  /** The value of an expression in the page, which must be JSON. */
  evaluate(expression: string): Promise<unknown>;
  close(): Promise<unknown>;
}

/** A browser, and how to open a tab of it. */
export interface Driver {
  name: string;
  /** What is not installed, if something. */
  missing?: string;
  open(): Promise<Tab>;
}

const firefoxPath = programPath('firefox-esr', 'firefox');
const webKitDriverPath = programPath('WebKitWebDriver');
const miniBrowserPath = miniBrowser();
const displayPath = programPath('Xvfb');

/** Chromium, Firefox and WebKit, as they are installed here. */
export const DRIVERS: readonly Driver[] = [
  { name: 'Chromium', ...missing(browserPath, 'Chromium or Chrome'), open: openChromium },
  { name: 'Firefox', ...missing(firefoxPath, 'firefox-esr'), open: openFirefox },
  {
    name: 'WebKit',
    ...missing(webKitDriverPath && miniBrowserPath && displayPath, 'webkit2gtk-driver and xvfb'),
    open: openWebKit,
  },
];

function missing(path: string | undefined, name: string): { missing?: string } {
  return path === undefined ? { missing: name } : {};
}

function miniBrowser(): string | undefined {
  return ['x86_64-linux-gnu', 'aarch64-linux-gnu']
    .flatMap((machine) =>
      ['4.0', '4.1'].map((version) => `/usr/lib/${machine}/webkit2gtk-${version}/MiniBrowser`),
    )
    .find((path) => existsSync(path));
}

async function openChromium(): Promise<Tab> {
  const browser = await launchBrowser({
    ...(browserPath !== undefined && { executablePath: browserPath }),
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
  const page = await browser.newPage();
  return {
    goto: (url) => page.goto(url),
    back: () => page.goBack({ waitUntil: 'commit' }),
    forward: () => page.goForward({ waitUntil: 'commit' }),
    evaluate: (expression) => page.evaluate(expression),
    close: () => browser.close(),
  };
}

/** Drives Firefox by WebDriver BiDi. */
async function openFirefox(): Promise<Tab> {
  const port = await freePort();
  const profile = await mkdtemp(join(tmpdir(), 'firefox-'));
  const firefox = launch([
    firefoxPath ?? '',
    '--headless',
    '--no-remote',
    '--profile',
    profile,
    '--remote-debugging-port',
    String(port),
  ]);
  await until(() => firefox.output().includes('WebDriver BiDi listening'), firefox.output);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/session`);
  await once(socket, 'open');
  const waiting = new Map<number, (answer: BiDiAnswer) => void>();
  socket.addEventListener('message', ({ data }) => {
    const answer: BiDiAnswer = JSON.parse(String(data));
    waiting.get(answer.id)?.(answer);
  });
  let lastId = 0;
  const send = async (method: string, params: object): Promise<BiDiResult> => {
    const id = (lastId += 1);
    const answered = new Promise<BiDiAnswer>((resolve) => {
      waiting.set(id, resolve);
    });
    socket.send(JSON.stringify({ id, method, params }));
    const { result, message } = await answered;
    if (result === undefined) throw new Error(`${method}: ${message}`);
    return result;
  };
  await send('session.new', { capabilities: {} });
  const { contexts: [{ context } = { context: '' }] = [] } = await send('browsingContext.getTree', {});
  return {
    goto: (url) => send('browsingContext.navigate', { context, url, wait: 'complete' }),
    back: () => send('browsingContext.traverseHistory', { context, delta: -1 }),
    forward: () => send('browsingContext.traverseHistory', { context, delta: 1 }),
    async evaluate(expression) {
      const { result } = await send('script.evaluate', {
        expression: `JSON.stringify(${expression})`,
        target: { context },
        awaitPromise: false,
      });
      return result?.value === undefined ? undefined : JSON.parse(result.value);
    },
    async close() {
      socket.close();
      await firefox.stop();
      await rm(profile, { recursive: true, maxRetries: 5 });
    },
  };
}

interface BiDiAnswer {
  id: number;
  result?: BiDiResult;
  message?: string;
}

interface BiDiResult {
  contexts?: { context: string }[];
  result?: { value?: string };
}

/** What WebDriver may take to answer, before it is asked again. */
const ANSWER_TIMEOUT_MS = 20_000;

/** Drives WebKitGTK by WebDriver, on a display of its own. */
async function openWebKit(): Promise<Tab> {
  const port = await freePort();
  const display = launch([displayPath ?? '', '-displayfd', '1', '-screen', '0', '1024x768x24'], {
    signal: 'SIGTERM',
  });
  // Where another one runs, it complains before it prints its number.
  const displayNumber = (): string | undefined => /^\d+(?=\n)/m.exec(display.output())?.[0];
  await until(displayNumber, display.output);
  const env = { DISPLAY: `:${displayNumber()}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' };
  const driver = await listeningOn(
    port,
    launch([webKitDriverPath ?? '', `--port=${port}`], { env, signal: 'SIGTERM' }),
  );
  const send = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`${driver.url}/session${path}`, {
      method,
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    const { value }: { value: unknown } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`);
    return value;
  };
  const options = { binary: miniBrowserPath, args: ['--automation'] };
  const session = await send('POST', '', {
    capabilities: { alwaysMatch: { pageLoadStrategy: 'none', 'webkitgtk:browserOptions': options } },
  });
  const { sessionId } = JSON.parse(JSON.stringify(session));
  const evaluate = async (expression: string): Promise<unknown> => {
    const script = `return JSON.stringify(${expression})`;
    const text = await send('POST', `/${sessionId}/execute/sync`, { script, args: [] });
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  };
  let moves = 0;
  // The driver does not notice that a page from the back/forward cache is complete; with strategy `none` it
  // does not wait.
  const move = async (path: string, body: object): Promise<void> => {
    // Not `performance.timeOrigin`: in WebKit it follows the clock.
    const mark = (moves += 1);
    await evaluate(`(window.mark = ${mark})`);
    await send('POST', `/${sessionId}/${path}`, body);
    await until(
      // The driver never answers a script that it was given while the page went.
      async () => !(await evaluate(`window.mark === ${mark}`).catch(() => true)),
      () => `${path} did nothing`,
    );
    await until(
      () => evaluate("document.readyState === 'complete'"),
      () => 'a page that does not load',
    );
  };
  return {
    goto: (url) => move('url', { url }),
    back: () => move('back', {}),
    forward: () => move('forward', {}),
    evaluate,
    async close() {
      await send('DELETE', `/${sessionId}`);
      await driver.stop();
      await display.stop();
    },
  };
}

/** Waits until this is so; throws, with what was found, when it takes too long. */
export async function until(isSo: () => unknown, found: () => unknown): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`expected ${isSo}, found ${JSON.stringify(await found())}`);
    await sleep(50);
  }
}
