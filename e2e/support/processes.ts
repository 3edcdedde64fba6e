import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const projectFolder = join(import.meta.dirname, '..', '..');

const START = ['--import', 'tsx', 'server/main.ts'];
const DEV = ['node_modules/vite/bin/vite.js'];

/** A server process that a test started. */
export interface ServerProcess {
  child: ChildProcess;
  /** Where it listens, as it printed it. */
  url: string;
  /** All that it has printed so far. */
  output(): string;
  /** Kills it if it still runs, and waits for its end. */
  stop(): Promise<void>;
}

/** What a process that has ended left. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Starts `server/main.ts` as `npm start` does, on a free port unless `PORT` is given, and waits until it listens. */
export function startServer(env: NodeJS.ProcessEnv = {}, folder = projectFolder): Promise<ServerProcess> {
  return listening(launch(START, { PORT: '0', ...env }, folder));
}

/** Starts Vite's dev server as `npm run dev` does, on a free port, and waits until it listens. */
export async function startDevServer(
  env: NodeJS.ProcessEnv = {},
  folder = projectFolder,
): Promise<ServerProcess> {
  return listening(launch(DEV, { PORT: String(await freePort()), ...env }, folder));
}

/** Starts `server.ts` of another project, which prints nothing, and waits until it listens. */
export async function startExample(folder: string): Promise<ServerProcess> {
  const port = await freePort();
  const { child, output } = launch(['--import', 'tsx', 'server.ts'], { PORT: String(port) }, folder);
  while (!(await isListening(port))) {
    if (child.exitCode !== null)
      throw new Error(`ended with ${child.exitCode} before it listened: ${output()}`);
  }
  return { child, url: `http://127.0.0.1:${port}`, output, stop: () => kill(child, output) };
}

/** Whether somebody listens on this port of 127.0.0.1. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}

/** Runs `server/main.ts` to its end, for settings with which it must not start. */
export function runServer(env: NodeJS.ProcessEnv, folder = projectFolder): Promise<Ended> {
  const { child, output } = launch(START, env, folder);
  return ended(child, output);
}

/** Runs Vite's dev server to its end, for settings with which it must not start. */
export function runDevServer(env: NodeJS.ProcessEnv): Promise<Ended> {
  const { child, output } = launch(DEV, env, projectFolder);
  return ended(child, output);
}

/** Waits until a process has ended. */
export async function ended(child: ChildProcess, output: () => string): Promise<Ended> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return { code: child.exitCode, signal: child.signalCode, output: output() };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return address.port;
}

function launch(
  args: string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, args, { cwd, env: { ...process.env, NO_COLOR: '1', ...env } });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  }
  return { child, output: () => printed };
}

async function listening({ child, output }: ReturnType<typeof launch>): Promise<ServerProcess> {
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /http:\/\/\S+:\d+/.exec(output());
      if (found) resolve(found[0]);
    });
    child.once('close', (code) => reject(new Error(`ended with ${code} before it listened: ${output()}`)));
  });
  return { child, url, output, stop: () => kill(child, output) };
}

async function kill(child: ChildProcess, output: () => string): Promise<void> {
  child.kill('SIGKILL');
  await ended(child, output);
}
