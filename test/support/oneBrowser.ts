import { browserPath, shareBrowser } from './browser.ts';

/** Vitest's global set-up: one browser for all test files, where there is one. */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  return browserPath === undefined ? undefined : shareBrowser();
}
