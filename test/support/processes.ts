import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };

const projectFolder = join(import.meta.dirname, '..', '..');

/** What bundles.ts made. */
export const bundlesFolder = process.env['TEST_BUNDLES'];

const START = packageJson.scripts.start.split(' ').slice(1);
const TSX = 'node_modules/tsx/dist/cli.mjs';
const DEV = [process.execPath, TSX, ...packageJson.scripts.dev.split(' ').slice(1)];

/** A process that was started. */
export interface Launched {
  child: ChildProcess;
  /** All that it has printed so far. */
  output(): string;
  /** What of it went to standard error. */
  errors(): string;
  /** Ends it if it still runs, and waits for its end. */
  stop(): Promise<void>;
}

/** A server process that listens. */
export interface ServerProcess extends Launched {
  /** Where it listens, as it printed it. */
  url: string;
  port: number;
}

/** What a process that has ended left. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** How to start a process. */
export interface LaunchOptions {
  /** Added to the environment. */
  env?: NodeJS.ProcessEnv;
  /** Default: the project's folder. */
  folder?: string | undefined;
  /** What stops it. Default SIGKILL. */
  signal?: NodeJS.Signals;
  /** Whether it exchanges messages with this process. Default: no. */
  ipc?: boolean;
}

const running = new Map<ChildProcess, NodeJS.Signals>();
process.once('exit', () => running.forEach((signal, child) => child.kill(signal)));

/** Starts a process. It is stopped at the latest when this one ends. */
export function launch(command: readonly string[], options: LaunchOptions = {}): Launched {
  const { env, folder = projectFolder, signal = 'SIGKILL', ipc = false } = options;
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ipc ? ['pipe', 'pipe', 'pipe', 'ipc'] : 'pipe',
  });
  running.set(child, signal);
  child.once('close', () => running.delete(child));
  let [output, errors] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    errors += text;
  });
  const stop = async (): Promise<void> => {
    child.kill(signal);
    await ended(child, () => output);
  };
  return { child, output: () => output, errors: () => errors, stop };
}

/** Waits until a process has printed the URL at which it listens. */
export async function listening(launched: Launched): Promise<ServerProcess> {
  const { child, output } = launched;
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /http:\/\/\S+:\d+/.exec(output());
      if (found) resolve(found[0]);
    });
    child.once('close', (code) => reject(new Error(`ended with ${code} before it listened: ${output()}`)));
  });
  return { ...launched, url, port: Number(new URL(url).port) };
}

/** Waits until a process has ended. */
export async function ended(child: ChildProcess, output: () => string): Promise<Ended> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return { code: child.exitCode, signal: child.signalCode, output: output() };
}

/** Starts the server on a free port unless `PORT` is given; waits until it listens. */
export function startServer(env: NodeJS.ProcessEnv = {}, folder?: string): Promise<ServerProcess> {
  return listening(launchServer(env, folder));
}

/** Runs the server to its end, for settings with which it must not start. */
export function runServer(env: NodeJS.ProcessEnv, folder?: string): Promise<Ended> {
  const { child, output } = launchServer(env, folder);
  return ended(child, output);
}

/** Starts the server of a folder that bundles.ts made, or as `npm start` does where there is none, as in proofs. */
function launchServer(env: NodeJS.ProcessEnv, folder = bundlesFolder): Launched {
  const command = folder === undefined ? START : [join(folder, 'server', 'main.js')];
  return launch([process.execPath, ...command], { env: { PORT: '0', ...env } });
}

/** Starts the server as `npm run dev` does, on a free port, and waits until it listens. */
export async function startDevServer(env: NodeJS.ProcessEnv = {}, folder?: string): Promise<ServerProcess> {
  return listening(launchDevServer({ PORT: String(await freePort()), ...env }, folder));
}

/** Starts what `npm run dev` does. It waits for an edit when the server ends, and is stopped as by Ctrl C. */
export function launchDevServer(env: NodeJS.ProcessEnv = {}, folder?: string): Launched {
  return launch(DEV, { env, folder, signal: 'SIGINT' });
}

/** Waits until a process, which need not print anything, listens on `port` of 127.0.0.1. */
export async function listeningOn(port: number, launched: Launched): Promise<ServerProcess> {
  while (!(await isListening(port))) {
    const { exitCode, signalCode } = launched.child;
    if (exitCode === null && signalCode === null) continue;
    throw new Error(`ended with ${exitCode ?? signalCode} before it listened: ${launched.output()}`);
  }
  return { ...launched, url: `http://127.0.0.1:${port}`, port };
}

/** Whether somebody listens on this port of 127.0.0.1. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answer = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return answer;
}

let nextPort = 20_000 + (process.pid % 100) * 100;

/**
 * A free port that nothing takes before the caller does: below those that systems give to outgoing
 * connections (from 32,768 on Linux, 49,152 elsewhere), and each process of the tests has a range of its own.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    const server = createServer().listen(port);
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}
