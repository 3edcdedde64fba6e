import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/support/processes.ts';
import type { Returned } from './load.ts';
import { startLoad, startServer } from './processes.ts';
import type { Contender } from './servers.ts';

const TICK_MS = 1000;
const OPEN_MS = 2000;
const RUN_MS = 2000;

/** Kills a server that has clients with `kill -9`, starts it again, and watches the clients come back. */
export async function measureStorm({ command }: Contender, clients: number): Promise<Returned> {
  const port = await freePort();
  const server = await startServer(command, TICK_MS, port);
  const load = startLoad(port, TICK_MS);
  try {
    await load.open(clients, OPEN_MS, true);
    await sleep(RUN_MS);
    await server.stop(); // with SIGKILL
    const next = await startServer(command, TICK_MS, port);
    try {
      return await load.returned();
    } finally {
      await next.stop();
    }
  } finally {
    await load.stop();
    await server.stop();
  }
}
