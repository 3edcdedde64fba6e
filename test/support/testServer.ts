import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import { onTestFinished, vi } from 'vitest';
import { startServer, type ServerProcess } from './processes.ts';

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
  /** Waits until this text has come. Rejects when the connection closes before. */
  until(wanted: string | RegExp): Promise<string>;
  /** Waits until the connection has closed, and gives all that came. */
  closed: Promise<string>;
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
  return { server, port, send: (text) => open(port, text) };
}

/** Starts the server as `npm start` does, on a free port unless `PORT` is given; it ends with the test. */
export async function serverProcess(env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await startServer(env);
  onTestFinished(server.stop);
  return server;
}

/** Waits until a condition holds, for as long as a busy machine may take. Returns what it gave. */
export function eventually<Value>(
  condition: () => Value | Promise<Value>,
): ReturnType<typeof vi.waitUntil<Value>> {
  return vi.waitUntil(condition, { timeout: 60_000, interval: 5 });
}

function open(port: number, text: string): Connection {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  const closed = new Promise<string>((resolve) => {
    socket.once('close', () => resolve(received));
  });
  socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
  socket.on('error', () => {}); // a reset is one of the ways to close; 'close' follows
  socket.write(text);
  onTestFinished(() => void socket.destroy());

  const until = (wanted: string | RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!(typeof wanted === 'string' ? received.includes(wanted) : wanted.test(received))) return;
        socket.off('data', look);
        resolve(received);
      };
      socket.on('data', look);
      socket.once('close', () => reject(new Error(`closed before ${String(wanted)}: ${received}`)));
      look();
    });
  return { socket, received: () => received, until, closed };
}
