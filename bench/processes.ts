import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { programPath } from '../test/support/browser.ts';
import { launch, listening, type Launched, type ServerProcess } from '../test/support/processes.ts';
import type { Order, Received, Returned } from './load.ts';

/** Whether CPU and memory of a process can be read. Elsewhere lateness and lost frames alone are measured. */
export const hasProc = process.platform === 'linux';

/** Whether the server has a core of its own, and the load another. */
export const isPinned = programPath('taskset') !== undefined && availableParallelism() > 1;

/** The clients of a server. */
export interface Load {
  /** Opens connections, evenly over `overMs`. With `reconnects`, they reconnect as EventSource does. */
  open(clients: number, overMs: number, reconnects?: boolean): Promise<void>;
  close(): Promise<void>;
  measure(forMs: number): Promise<Received>;
  /** Waits until all clients have come back. */
  returned(): Promise<Returned>;
  stop(): Promise<void>;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Starts a server that sends a number every `tickMs` on each connection, and waits until it listens. */
export function startServer(command: readonly string[], tickMs: number, port = 0): Promise<ServerProcess> {
  const env = { PORT: String(port), TICK_MS: String(tickMs), MAX_CONNECTIONS: '1000000' };
  return listening(launch(onCore(0, command), { env: { ...env, NODE_ENV: 'production', GOMAXPROCS: '1' } }));
}

/** Starts the load's process. */
export function startLoad(port: number, tickMs: number): Load {
  const command = onCore(1, [process.execPath, '--import', 'tsx', 'bench/load.ts']);
  const load = launch(command, { ipc: true });
  return {
    open: (clients, overMs, reconnects = false) =>
      ask(load, { do: 'open', port, clients, overMs, tickMs, reconnects }),
    close: () => ask(load, { do: 'close' }),
    measure: (forMs) => ask<Received>(load, { do: 'measure', forMs }),
    returned: () => ask<Returned>(load, { do: 'return' }),
    stop: load.stop,
  };
}

async function ask<Answer = void>({ child, output }: Launched, order: Order): Promise<Answer> {
  const done = new AbortController();
  const ended = once(child, 'close', { signal: done.signal }).then(() => {
    throw new Error(`the load ended: ${output()}`);
  });
  child.send(order);
  try {
    const [message] = await Promise.race([once(child, 'message', { signal: done.signal }), ended]);
    return message;
  } finally {
    ended.catch(() => {}); // it is aborted now
    done.abort();
  }
}

/** The CPU that a process has used, with all of its threads, in µs. */
export function cpuMicroseconds(pid: number): number {
  if (!hasProc) return NaN;
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return sum + Number(nanoseconds) / 1000;
  }, 0);
}

/** The resident memory of a process in kB. Buffers of sockets are the kernel's, and not in it. */
export function residentKilobytes(pid: number): number {
  if (!hasProc) return NaN;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** How many files a process may open. */
export function openFilesLimit(): number {
  if (!hasProc) return 1024;
  return Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
}

function onCore(core: number, command: readonly string[]): readonly string[] {
  return isPinned ? ['taskset', '-c', String(core), ...command] : command;
}
