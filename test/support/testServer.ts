import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { bundlesFolder, startServer, type ServerProcess } from './processes.ts';

/** When nothing has come for so long, on however busy a machine, nothing will. */
const IN_VAIN_MS = 15_000;

const LOOK_EVERY_MS = 5;

/** Texts that tests wait for are shorter. */
const LONGEST_WANTED = 5000;

const { setTimeout, clearTimeout } = globalThis; // the real ones, also where a test fakes them

/** A real server on a free port; it and its connections are gone when the test has finished. */
export interface TestServer {
  server: Server;
  port: number;
  /** Sends `text` as it is over a socket of its own. */
  send(text: string): Connection;
}

/** The client's end of one TCP connection. */
export interface Connection {
  socket: Socket;
  /** All that has come so far. */
  received(): string;
  /** Waits until this text has come. Rejects when the connection closes before, and after `IN_VAIN_MS`. */
  until(wanted: string | RegExp): Promise<string>;
  /** Waits until the connection has closed, and gives all that came. Rejects after `IN_VAIN_MS`. */
  readonly closed: Promise<string>;
}

/** Listens on a free port of the loopback interface. */
export async function listen(listener: RequestListener | Server): Promise<TestServer> {
  const server = typeof listener === 'function' ? createServer(listener) : listener;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) =>
    sockets.add(socket.once('close', () => sockets.delete(socket))),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  const { port } = address;
  return { server, port, send: (text) => send(port, text) };
}

/** Starts the server on a free port unless `PORT` is given; it ends with the test. */
export async function serverProcess(env?: NodeJS.ProcessEnv, folder?: string): Promise<ServerProcess> {
  const server = await startServer(env, folder);
  onTestFinished(server.stop);
  return server;
}

/** Copies the server that bundles.ts made, with another text, to a folder that is removed after the test. */
export async function editServer(edit: (text: string) => string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'server-'));
  onTestFinished(() => rm(folder, { recursive: true, maxRetries: 5 }));
  await cp(bundlesFolder ?? '', folder, { recursive: true });
  const path = join(folder, 'server', 'main.js');
  await writeFile(path, edit(await readFile(path, 'utf8')));
  return folder;
}

/**
 * Waits until a condition holds, and returns what it gave. A faked clock stands still meanwhile. In vain, the error
 * says what `arrived` instead.
 */
export async function eventually<Value>(
  condition: () => Value | Promise<Value>,
  arrived: () => unknown = () => 'no more',
): Promise<Exclude<Value, Falsy>> {
  for (let waited = 0; waited < IN_VAIN_MS; waited += LOOK_EVERY_MS) {
    const value = await condition();
    if (value) return value as Exclude<Value, Falsy>;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw inVain(String(condition), arrived());
}
type Falsy = false | 0 | '' | null | undefined;

function inVain(wanted: unknown, arrived: unknown): Error {
  const found = JSON.stringify(arrived)?.slice(-2000);
  return new Error(`expected ${String(wanted)} within ${IN_VAIN_MS} ms, found ${found}`);
}

/** Sends `text` as it is to a port of this machine. */
export function send(port: number, text: string): Connection {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  let newest = ''; // after each chunk of a long answer a look at all of it would take seconds
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
    newest = newest.slice(-LONGEST_WANTED) + chunk;
  });
  socket.on('error', () => {}); // a reset is one of the ways to close; 'close' follows
  socket.write(text);
  onTestFinished(() => void socket.destroy());

  /** Waits until `isDone`, looking at each thing that happens. */
  const wait = (wanted: unknown, isDone: () => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(inVain(wanted, received)), IN_VAIN_MS);
      const look = (): void => {
        if (isDone()) resolve(received);
        else if (socket.closed) reject(new Error(`closed before ${String(wanted)}: ${received}`));
        else return void timer.refresh(); // a long answer takes its time on a busy machine
        socket.off('data', look).off('close', look);
        clearTimeout(timer);
      };
      socket.on('data', look).on('close', look);
      look();
    });
  return {
    socket,
    received: () => received,
    until(wanted) {
      if (typeof wanted !== 'string') return wait(wanted, () => wanted.test(received));
      if (received.includes(wanted)) return Promise.resolve(received);
      return wait(wanted, () => newest.includes(wanted));
    },
    get closed() {
      return wait('the end of the connection', () => socket.closed);
    },
  };
}
