import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath } from '../e2e/support/browser.ts';
import type { Order, Received } from './client.ts';

const benchFolder = import.meta.dirname;
const projectFolder = join(benchFolder, '..');

const baselineCommand = baseline();

/** The servers and what starts them. The first is ours, the last the baseline that the others are compared with. */
export const SERVERS = {
  'this server': [process.execPath, '--import', 'tsx', 'server/main.ts'],
  "the tutorial's code": [process.execPath, 'bench/servers/tutorial.js'],
  '@fastify/sse': [process.execPath, 'bench/servers/fastify-sse.js'],
  'express-sse': [process.execPath, 'bench/servers/express-sse.js'],
  'better-sse': [process.execPath, 'bench/servers/better-sse.js'],
  hono: [process.execPath, 'bench/servers/hono.js'],
  'bare node:net': [process.execPath, 'bench/servers/net.js'],
  'baseline with shared wake-ups': [...baselineCommand, '100'],
  baseline: baselineCommand,
} satisfies Record<string, readonly string[]>;

export type ServerName = keyof typeof SERVERS;

/** Whether CPU and memory of a process can be read; elsewhere only lateness and drift are measured. */
export const hasProc = process.platform === 'linux';

/** Whether the server has a core of its own, and the load another. */
export const isPinned = programPath('taskset') !== undefined && availableParallelism() > 1;

/** A server that runs. */
export interface Server {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

/** The load on a server. */
export interface Load {
  open(connections: number, overMs: number): Promise<void>;
  close(connections: number): Promise<void>;
  measure(forMs: number): Promise<Received>;
  stop(): Promise<void>;
}

/** Starts a server that sends a number every `tickMs` on each connection. */
export async function startServer(name: ServerName, tickMs: number): Promise<Server> {
  const env = { PORT: '0', TICK_MS: String(tickMs), MAX_CONNECTIONS: '1000000', NODE_ENV: 'production' };
  const child = start(0, SERVERS[name], env);
  let output = '';
  child.stderr?.on('data', (text) => (output += text));
  child.stdout?.on('data', (text) => (output += text));
  for (;;) {
    const port = /http:\/\/\S+:(\d+)/.exec(output)?.[1];
    if (port !== undefined && child.pid !== undefined) {
      return { pid: child.pid, port: Number(port), stop: () => stop(child) };
    }
    if (child.exitCode !== null) throw new Error(`${name} ended before it listened: ${output}`);
    await sleep(20);
  }
}

/** Starts the load's process. */
export function startLoad(port: number, tickMs: number): Load {
  const child = start(1, [process.execPath, '--import', 'tsx', 'bench/client.ts']);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the load ended with ${code}: see above`);
  });
  ended.catch(() => {}); // also when nobody asks any more
  return {
    open: (connections, overMs) => ask({ do: 'open', port, connections, overMs, tickMs }),
    close: (connections) => ask({ do: 'close', connections }),
    measure: (forMs) => ask<Received>({ do: 'measure', forMs }),
    stop: () => stop(child),
  };

  async function ask<Answer = void>(order: Order): Promise<Answer> {
    child.send(order);
    const [answer] = await Promise.race([once(child, 'message'), ended]);
    return answer;
  }
}

/** CPU that a process has used, all of its threads, in µs. Its scheduler counts nanoseconds, its clock of user and system ticks of 10 ms. */
export function cpuMicroseconds(pid: number): { total: number; user: number; system: number } {
  if (!hasProc) return { total: NaN, user: NaN, system: NaN };
  const threads = readdirSync(`/proc/${pid}/task`);
  const total = threads.reduce((sum, thread) => {
    const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return sum + Number(nanoseconds) / 1000;
  }, 0);
  const [user = NaN, system = NaN] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/.*\) /, '')
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return { total, user, system };
}

/** Memory of a process in kB. */
export function residentKilobytes(pid: number): number {
  if (!hasProc) return NaN;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** The processes that a process has started and that still run. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const pids = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
    return pids.split(' ').filter(Boolean).map(Number);
  });
}

/** How many files a process may open. */
export function openFilesLimit(): number {
  if (!hasProc) return 1024;
  return Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

function start(core: number, command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program = '', ...args] = isPinned ? ['taskset', '-c', String(core), ...command] : command;
  const child = spawn(program, args, {
    cwd: projectFolder,
    env: { ...process.env, ...env },
    stdio: core === 0 ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** The C server where there is a compiler and epoll, else the bare `net` server. */
function baseline(): readonly string[] {
  const compiler = programPath('cc', 'gcc', 'clang');
  if (process.platform !== 'linux' || compiler === undefined)
    return [process.execPath, 'bench/servers/net.js'];
  const folder = mkdtempSync(join(tmpdir(), 'baseline-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const program = join(folder, 'baseline');
  execFileSync(compiler, ['-O2', '-o', program, join(benchFolder, 'servers/baseline.c')]);
  return [program];
}
