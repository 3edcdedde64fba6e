import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch, listening, type ServerProcess } from '../support/processes.ts';

const probe = pathToFileURL(join(import.meta.dirname, 'probe.ts')).href;

/** Figures of a server's process. */
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
export interface Probed extends ServerProcess {
  /** Its figures, with `collect` after a forced garbage collection. Default: `look`. */
  figures(request?: 'look' | 'collect'): Promise<Figures>;
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
  const command = [process.execPath, '--expose-gc', '--import', 'tsx', '--import', probe, program];
  const inside = namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command];
  const server = await listening(
    launch(inside, { env: { PORT: '0', HOST: '127.0.0.1', ...env }, ipc: true }),
  );
  const { child, errors } = server;
  return {
    ...server,
    async figures(request = 'look') {
      if (!child.connected) throw new Error(`server: expected it to run, found its end: ${errors()}`);
      child.send(request);
      const [answer]: Figures[] = await once(child, 'message');
      if (answer === undefined) throw new Error('expected figures');
      return answer;
    },
  };
}
