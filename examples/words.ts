import type { Status } from '../client/subscribe.ts';

/** What a page says of its connection. Nothing while all is well. */
export function words(status: Status): string {
  switch (status.state) {
    case 'open':
      return '';
    case 'connecting':
      return 'Connecting';
    case 'reconnecting':
      return 'No connection, trying again';
    case 'paused':
      return 'Paused';
    case 'closed':
      return status.status === undefined ? '' : `The server refused the stream (${status.status})`;
  }
}

/** Asks the server for something. Resolves to what a person should know if it failed, or else to `''`. */
export async function send(method: string, path: string, body?: object): Promise<string> {
  const json = body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  try {
    const response = await fetch(path, { method, ...json });
    if (response.status === 201 || response.status === 204) return '';
    const isOurs = response.headers.get('Content-Type')?.startsWith('text/plain');
    return isOurs ? response.text() : `The server answered ${response.status}.`;
  } catch {
    return 'The server can’t be reached.';
  }
}

/** An ID that nobody guesses. `crypto.randomUUID` exists only over HTTPS and on localhost. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
