import type { Status } from '../client/subscribe.ts';

const WORDS = {
  connecting: 'Connecting',
  open: '',
  reconnecting: 'No connection, trying again',
  paused: 'Paused',
  closed: '',
};

/** What a page says of its connection. Nothing while all is well. */
export function words(status: Status): string {
  const isRefused = status.state === 'closed' && status.status !== undefined;
  return isRefused ? `The server refused the stream (${status.status})` : WORDS[status.state];
}

/** Waits for an answer this long. */
const PATIENCE_MS = 15_000;

/** Asks the server for something. Resolves to what a person should know if it failed, or else to `''`. */
export async function send(method: string, path: string, body: object = {}): Promise<string> {
  const headers = { 'Content-Type': 'application/json' };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(path, { method, headers, body: JSON.stringify(body), signal });
    if (response.status === 201 || response.status === 204) return '';
    const isOurs = response.headers.get('Content-Type')?.startsWith('text/plain');
    return isOurs ? response.text() : `The server answered ${response.status}.`;
  } catch {
    return 'The server can’t be reached.';
  }
}

/** An ID that nobody guesses. `crypto.randomUUID` exists only over HTTPS and on localhost. */
export function newId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
