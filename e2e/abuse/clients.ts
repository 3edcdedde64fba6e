import { connect, type Socket } from 'node:net';

/** A request without a body, with the headers given as lines. */
export function request(method: string, path: string, ...headers: string[]): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');
}

/** Connects and sends `text`; an error is one of the ways to close. */
export async function send(port: number, text: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  await Promise.race([happens(socket, 'connect'), happens(socket, 'close')]);
  socket.write(text, 'latin1');
  return socket;
}

/** Waits for an event; an error does not end the wait, as it does with `once` of node:events. */
export function happens(socket: Socket, event: 'connect' | 'data' | 'close'): Promise<void> {
  return new Promise((resolve) => {
    if (event === 'close' && socket.closed) resolve();
    else socket.once(event, () => resolve());
  });
}

/** Sends `text` and reads until the server closes, or until `isEnough`, or for `ms`. */
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

/** The path of the page's script, a file that takes several reads: one that is read to its end is closed, sent or not. */
export async function scriptOf(port: number): Promise<string> {
  const page = await ask(port, request('GET', '/', 'Connection: close'));
  const [path] = /\/assets\/[\w.-]+\.js/.exec(page) ?? [];
  if (path === undefined)
    throw new Error(`page: expected a script of its own, found ${JSON.stringify(page)}`);
  return path;
}

/** A client that reads what it gets, as a person at a page does. */
export interface Reader {
  /** How late its latest number came, measured from its first, ms. */
  worstMs(): number;
  numbers(): number;
  leave(): void;
}

/** Opens a stream whose numbers are due every `tickMs`, and reads it. `worstMs` throws when a number is missing, double or not one. */
export async function read(port: number, tickMs: number, path = '/count'): Promise<Reader> {
  const socket = await send(port, request('GET', path));
  let [text, number, first, worst, wrong] = ['', 0, 0, 0, ''];
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const frames = (text + chunk).split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
      if (!frame.startsWith('id: ')) continue;
      number += 1;
      if (frame !== `id: ${number}\ndata: ${number}`) wrong ||= frame;
      first ||= performance.now();
      worst = Math.max(worst, performance.now() - first - (number - 1) * tickMs);
    }
  });
  socket.once('close', () => (wrong ||= 'the end'));
  await Promise.race([happens(socket, 'data'), happens(socket, 'close')]);
  return {
    worstMs() {
      if (wrong !== '') throw new Error(`reader: expected number ${number}, found ${JSON.stringify(wrong)}`);
      return worst;
    },
    numbers: () => number,
    leave: () => void socket.destroy(),
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
