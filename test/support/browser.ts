import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser, type LaunchOptions, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'];
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ...['ProgramFiles', 'ProgramFiles(x86)', 'LOCALAPPDATA'].flatMap((name) => [
    join(process.env[name] ?? '', 'Google/Chrome/Application/chrome.exe'),
    join(process.env[name] ?? '', 'Microsoft/Edge/Application/msedge.exe'),
  ]),
];

/** The browser of the tests: `CHROME_PATH`, or else an installed Chromium, Chrome or Edge. */
export const browserPath =
  process.env['CHROME_PATH'] ?? programPath(...NAMES) ?? PLACES.find((place) => existsSync(place));

/** Chromium's headless shell where it is installed: half the CPU, but no back/forward cache. */
const headlessPath = process.env['CHROME_PATH'] ?? programPath('chromium-headless-shell') ?? browserPath;

/** Where one of these programs is on the `PATH`. */
export function programPath(...names: string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).concat('/usr/sbin');
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

/** Whether to skip tests that need `program`; says so. Throws if it `isRequired`, as with `CI=true`. */
export function isMissing(
  program: string,
  path: string | undefined,
  howToGetIt: string,
  isRequired = process.env['CI'] === 'true',
): boolean {
  if (path !== undefined) return false;
  const line = `${program}: expected an installed one, found none. ${howToGetIt}`;
  if (isRequired) throw new Error(line);
  console.warn(`skipped: ${line}`);
  return true;
}

/** Whether browser tests must be skipped; see `isMissing`. */
export function isBrowserMissing(): boolean {
  return isMissing('browser', browserPath, 'Install Chromium, Chrome or Edge, or set CHROME_PATH.');
}

/** For `waitForFunction`, which by default polls at every animation frame and so makes the page draw them. */
export const POLLING = { polling: 20 };

/** Waits until the timer shows `n` or more. */
export async function untilShown(page: Page, n: number): Promise<void> {
  await page.waitForFunction(
    (wanted) => Number(document.querySelector('[role="timer"]')?.textContent) >= wanted,
    n,
    POLLING,
  );
}

/** Where the tests' shared browser listens. */
const ENDPOINT = 'TEST_BROWSER';

/** Starts the browser, headless, or connects to the tests' shared one. The caller closes it. */
export function launchBrowser(options?: LaunchOptions): Promise<Browser> {
  const endpoint = process.env[ENDPOINT];
  if (endpoint !== undefined && options === undefined) return chromium.connect(endpoint);
  return chromium.launch({ ...launchOptions(), ...options });
}

/** Vitest's global set-up: starts one browser for all test files, where there is one. Returns what stops it. */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (browserPath === undefined) return undefined;
  const server = await chromium.launchServer(launchOptions());
  process.env[ENDPOINT] = server.wsEndpoint();
  return () => server.close();
}

function launchOptions(): LaunchOptions {
  // Chromium has no sandbox for root, which is the user in CI containers.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return headlessPath === undefined ? { args } : { args, executablePath: headlessPath };
}
