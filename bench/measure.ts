import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMicroseconds, residentKilobytes, startLoad, startServer } from './processes.ts';
import type { Contender } from './servers.ts';

/** Above this, the slowest servers are still accepting connections when the measuring begins. */
const CONNECTS_PER_SECOND = 2500;
const WARM_UP_CLIENTS = 500;
const SETTLE_MS = 1000;
/** Above this part of a core the load is late itself. */
const FULL = 0.9;

/** How many connections, and how often each gets a frame. */
export interface Level {
  connections: number;
  tickMs: number;
}

/** What one server did at one level, in each round. */
export interface Result extends Level {
  contender: Contender;
  rounds: Sample[];
}

/** What one server did in one round. */
export interface Sample {
  /** CPU of the server per frame, in µs. */
  cpu: number;
  /** The 99th percentile of how late frames arrived. */
  latenessMs: number;
  lost: number;
  /** By how much the server's resident memory has grown per open connection. */
  kilobytes: number;
}

/**
 * Measures each server at each level for `forMs`, all of them once before any of them again: what else the
 * machine does falls on all.
 */
export async function measureInRounds(
  contenders: readonly Contender[],
  levels: readonly Level[],
  rounds: number,
  forMs: number,
): Promise<Result[]> {
  const results = contenders.flatMap((contender) =>
    levels.map((level): Result => ({ contender, ...level, rounds: [] })),
  );
  for (let round = 1; round <= rounds; round += 1) {
    for (const { contender, connections, tickMs, rounds: samples } of results) {
      const { name, runtime } = contender;
      console.error(`round ${round} of ${rounds}: ${name}, ${runtime}, ${connections} connections`);
      samples.push(await measure(contender, { connections, tickMs }, forMs));
    }
  }
  return results;
}

/** Measures after code and heap have been warmed up. */
async function measure(contender: Contender, level: Level, forMs: number): Promise<Sample> {
  const { connections, tickMs } = level;
  const server = await startServer(contender.command, tickMs);
  const load = startLoad(server.port, tickMs);
  const pid = server.child.pid ?? NaN;
  try {
    await load.open(Math.min(WARM_UP_CLIENTS, connections), tickMs);
    await sleep(SETTLE_MS);
    await load.close();
    await sleep(SETTLE_MS / 2);
    const idleKilobytes = residentKilobytes(pid);

    const ticks = Math.ceil(((connections / CONNECTS_PER_SECOND) * 1000) / tickMs);
    await load.open(connections, ticks * tickMs);
    await sleep(Math.max(SETTLE_MS, tickMs));
    const before = cpuMicroseconds(pid);
    const { frames, latenessMs, lost, core } = await load.measure(forMs);
    const cpu = (cpuMicroseconds(pid) - before) / frames;
    const kilobytes = (residentKilobytes(pid) - idleKilobytes) / connections;
    if (core > FULL) console.error(`the load used ${core.toFixed(2)} of its core: lateness may be its own`);
    return { cpu, latenessMs, lost, kilobytes };
  } finally {
    await load.stop();
    await server.stop();
  }
}
