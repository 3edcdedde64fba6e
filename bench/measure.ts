import { freePort, launch, ended, listening, type ServerProcess } from '../test/support/processes.ts';
import type { Sample, Storm } from './load.ts';
import type { Contender } from './servers.ts';

/** Above this part of a core the load is late itself. */
const FULL = 0.9;

/** What one server did in each round. */
export interface Result {
  contender: Contender;
  samples: Sample[];
}

// So that the servers end, too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Measures each server once before any of them again: what else the machine does falls on all. */
export async function measureInRounds(
  contenders: readonly Contender[],
  connections: number,
  rounds: number,
  measuredMs: number,
): Promise<Result[]> {
  const results = contenders.map((contender): Result => ({ contender, samples: [] }));
  for (let round = 1; round <= rounds; round++) {
    // Every other round backwards, so that none is always measured behind the same one.
    for (const { contender, samples } of round % 2 === 1 ? results : results.toReversed()) {
      console.error(`round ${round} of ${rounds}: ${contender.name}, ${contender.runtime}`);
      const server = await start(contender);
      try {
        const sample = await load<Sample>(server, connections, measuredMs);
        if (sample.core > FULL)
          console.error(`the load used ${sample.core.toFixed(2)} of its core: it may be late`);
        samples.push(sample);
      } finally {
        await server.stop();
      }
    }
  }
  return results;
}

/** Kills a server that has clients with `kill -9`, starts it again, and watches the clients come back. */
export async function measureStorm(contender: Contender, clients: number): Promise<Storm> {
  const port = await freePort();
  const server = await start(contender, port);
  const storm = load<Storm>(server, clients);
  const next = ended(server.child, server.output).then(() => start(contender, port));
  try {
    return await storm;
  } finally {
    await server.stop();
    await (await next).stop();
  }
}

/** Starts a server that sends a number a second on each connection, and waits until it listens. */
function start({ command, folder }: Contender, port = 0): Promise<ServerProcess> {
  const env = { PORT: String(port), MAX_CONNECTIONS: '1000000', NODE_ENV: 'production', GOMAXPROCS: '1' };
  return listening(launch(onCore(0, command), { env, folder }));
}

/** Puts clients on a server; without `measuredMs` it is killed by them. */
async function load<Answer>(
  { child, port }: ServerProcess,
  clients: number,
  measuredMs = 0,
): Promise<Answer> {
  const args = [port, child.pid, clients, measuredMs].map(String);
  const clientsProcess = launch(onCore(1, [process.execPath, '--import', 'tsx', 'bench/load.ts', ...args]));
  const { code, output } = await ended(clientsProcess.child, clientsProcess.output);
  if (code !== 0) throw new Error(`the load ended: ${output}`);
  return JSON.parse(output);
}

/** The server has a core of its own, and the load another. */
function onCore(core: number, command: readonly string[]): readonly string[] {
  return ['taskset', '-c', String(core), ...command];
}
