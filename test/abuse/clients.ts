import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { cert } from '../support/certificate.ts';
import { request } from '../support/rawHttp.ts';
import { eventually } from './outcome.ts';

/** Connects, over TLS or not, and sends `text`. A connection error counts as a close. */
export async function send(port: number, text: string, isSecure = false): Promise<Socket> {
  const address = { port, host: '127.0.0.1' };
  const socket = isSecure
    ? connectSecurely({ ...address, ca: cert })
    : connect({ ...address, noDelay: true });
  socket.on('error', () => {});
  await Promise.race([happens(socket, isSecure ? 'secureConnect' : 'connect'), happens(socket, 'close')]);
  socket.write(text, 'latin1');
  return socket;
}

/** Waits for an event. Unlike `once` of node:events, it does not reject at an error. */
export function happens(
  socket: Socket,
  event: 'connect' | 'secureConnect' | 'data' | 'close',
): Promise<void> {
  return new Promise((resolve) => {
    if (event === 'close' && socket.closed) resolve();
    else socket.once(event, () => resolve());
  });
}

/** Sends `text`. Returns what comes until the end, until `isEnough`, or for `ms` (default 5000). */
export async function ask(
  port: number,
  text: string,
  isEnough: (received: string) => boolean = () => false,
  ms = 5000,
): Promise<string> {
  const socket = await send(port, text);
  let received = '';
  const timer = setTimeout(() => socket.destroy(), ms);
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
    if (isEnough(received)) socket.resetAndDestroy();
  });
  await happens(socket, 'close');
  clearTimeout(timer);
  return received;
}

/** The path of the page's script. It takes several reads; a file that is read at once is closed at once. */
export async function scriptOf(port: number): Promise<string> {
  const page = await ask(port, request('GET', '/', 'Connection: close'));
  const [path] = /\/assets\/[\w.-]+\.js/.exec(page) ?? [];
  if (path === undefined)
    throw new Error(`page: expected a script of its own, found ${JSON.stringify(page)}`);
  return path;
}

/** A client that reads its stream. */
export interface Reader {
  /** How late its latest number came after its first was due, ms. Throws unless each number came once. */
  worstMs(): number;
  leave(): void;
}

/** Opens a stream whose numbers are due every `tickMs`, and reads it from its first number on. */
export async function read(port: number, tickMs: number): Promise<Reader> {
  const call = get({ port, host: '127.0.0.1', path: '/count', agent: false });
  const [answer]: IncomingMessage[] = await once(call, 'response');
  let [text, number, first, worst, wrong] = ['', 0, 0, 0, ''];
  answer?.setEncoding('utf8').on('data', (chunk: string) => {
    const frames = (text + chunk).split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
      if (frame.startsWith('retry: ')) continue;
      number += 1;
      if (frame !== `id: ${number}\ndata: ${number}`) wrong ||= frame;
      first ||= performance.now();
      worst = Math.max(worst, performance.now() - first - (number - 1) * tickMs);
    }
  });
  answer?.on('error', () => {}).once('close', () => (wrong ||= 'the end'));
  await eventually('the first number', () => number > 0);
  return {
    worstMs() {
      if (wrong !== '') throw new Error(`reader: expected number ${number}, found ${JSON.stringify(wrong)}`);
      return worst;
    },
    leave: () => void call.destroy(),
  };
}

/** Opens `n` streams, a hundred at a time. */
export async function many<T>(n: number, open: (i: number) => Promise<T>, atOnce = 100): Promise<T[]> {
  const opened: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < n) opened.push(await open(next++));
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, n) }, lane));
  return opened;
}
