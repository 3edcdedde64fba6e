import type { ReactElement } from 'react';
import type { Entry } from './conversation.ts';

/** How long numbers must have been good again before a bad one is no longer mentioned, ms. */
const FORGOTTEN_AFTER_MS = 5000;

/** Whether data is what the counter sends. */
export function isNumber(data: string): boolean {
  return /^\d+$/.test(data);
}

/** What was wrong with the latest message without a number, until numbers have been good for a while. */
export function Problem({ entries }: { entries: readonly Entry[] }): ReactElement | null {
  const messages = entries.filter((entry) => entry.kind === 'message').filter(({ event }) => event === '');
  const i = messages.findLastIndex(({ data }) => !isNumber(data));
  const [bad, good, newest] = [messages[i], messages[i + 1], messages.at(-1)];
  if (!bad || (good && newest && newest.time - good.time > FORGOTTEN_AFTER_MS)) return null;
  return <p role="alert">data: expected a number, found {JSON.stringify(bad.data.slice(0, 80))}</p>;
}
