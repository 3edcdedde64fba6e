import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = join(import.meta.dirname, '..', '..');
const probe = pathToFileURL(join(import.meta.dirname, 'probe.ts')).href;

/** What a server's process says about itself. */
export interface Figures {
  rssBytes: number;
  heapBytes: number;
  /** Since its start. */
  cpuMs: number;
  sockets: number;
  timers: number;
  /** Open file descriptors; 0 on Windows, which has none. */
  descriptors: number;
}

/** A server's process with the probe in it. */
export interface Probed {
  child: ChildProcess;
  port: number;
  /** All that it has printed to standard error so far. */
  errors(): string;
  /** Its figures as they are, or after a forced collection. */
  figures(request?: 'look' | 'collect'): Promise<Figures>;
  /** Its end: how, and how long after the call. */
  ended(): Promise<{ code: number | null; ms: number }>;
  /** Kills it if it still runs, and waits for its end. */
  stop(): Promise<void>;
}

export interface ProbedOptions {
  env?: NodeJS.ProcessEnv;
  /** Default: the product's, which needs the built page. */
  program?: string;
  /** The network namespace to run in. Default: the one that there is. */
  namespace?: string;
}

/** Starts a server's process on a free port, and waits until it listens. */
export async function startProbed(options: ProbedOptions = {}): Promise<Probed> {
  const { env, program = 'server/main.ts', namespace } = options;
  const node = ['--expose-gc', '--import', 'tsx', '--import', probe];
  const child = fork(join(folder, program), {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1', PORT: '0', HOST: '127.0.0.1', ...env },
    silent: true,
    ...(namespace === undefined
      ? { execArgv: node }
      : { execPath: 'ip', execArgv: ['netns', 'exec', namespace, process.execPath, ...node] }),
  });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const found = /http:\/\/\S+:(\d+)/.exec(text);
      if (found) resolve(Number(found[1]));
    });
    child.once('close', (code) => reject(new Error(`ended with ${code} before it listened: ${errors}`)));
  });

  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    child,
    port,
    errors: () => errors,
    async figures(request = 'look') {
      if (!running()) throw new Error(`server: expected it to run, found its end: ${errors}`);
      child.send(request);
      const [answer]: Figures[] = await once(child, 'message');
      if (answer === undefined) throw new Error('expected figures');
      return answer;
    },
    async ended() {
      const from = performance.now();
      if (running()) await once(child, 'close');
      return { code: child.exitCode, ms: performance.now() - from };
    },
    async stop() {
      child.kill('SIGKILL');
      if (running()) await once(child, 'close');
    },
  };
}
