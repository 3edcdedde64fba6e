import {
  cpuMicroseconds,
  residentKilobytes,
  sleep,
  startLoad,
  startServer,
  type Load,
  type Server,
  type ServerName,
} from './processes.ts';

/** Fewer connections than this a second, or the slowest servers are still busy with the connecting when the measuring begins. */
const CONNECTS_PER_SECOND = 2500;
const WARM_UP_CONNECTIONS = 500;

/** What one server did at one level of load. */
export interface Sample {
  server: ServerName;
  connections: number;
  framesPerSecond: number;
  /** CPU of the server per frame, in µs. */
  cpu: number;
  user: number;
  system: number;
  /** CPU of the server, as a part of one core. */
  core: number;
  clientCpu: number;
  lateness: { p50: number; p99: number; max: number };
  drift: number;
  missing: number;
  /** Memory per connection, at the first level only: nothing has been given back yet. */
  kilobytes?: number;
}

/** Measures a server at each of these levels, from the most connections to the fewest, so that all meet code that is warm. */
export async function measureLevels(
  name: ServerName,
  levels: readonly number[],
  forMs: number,
  tickMs = 1000,
): Promise<Sample[]> {
  return withServer(name, tickMs, async (server, load) => {
    await load.open(WARM_UP_CONNECTIONS, 1000);
    await sleep(2000);
    await load.close(WARM_UP_CONNECTIONS);
    await sleep(1000);
    const idle = residentKilobytes(server.pid);

    const samples: Sample[] = [];
    let open = 0;
    for (const level of levels.toSorted((a, b) => b - a)) {
      if (open === 0) await load.open(level, Math.ceil(level / CONNECTS_PER_SECOND) * 1000);
      else await load.close(open - level);
      open = level;
      await sleep(1500);
      const sample = await measure(name, server, load, level, forMs);
      if (samples.length === 0) sample.kilobytes = (residentKilobytes(server.pid) - idle) / level;
      samples.push(sample);
    }
    return samples;
  });
}

const FULL_TICK_MS = 100;
/** Nearer to a whole core a server of Node's takes seconds to accept connections: one in each turn of its event loop. */
const FULL = 0.8;
const MAX_STEPS = 8;

/** Adds connections, each with ten frames a second, until the server nearly fills its core, and returns the last sample. */
export async function fillCore(name: ServerName, expectedFramesPerSecond: number): Promise<Sample> {
  const expected = Math.ceil((expectedFramesPerSecond * FULL_TICK_MS) / 1000);
  return withServer(name, FULL_TICK_MS, async (server, load) => {
    let open = 0;
    let more = Math.ceil(expected * 0.6);
    for (let step = 1; ; step += 1) {
      await load.open(more, Math.ceil(more / CONNECTS_PER_SECOND) * 1000);
      open += more;
      await sleep(1000);
      const sample = await measure(name, server, load, open, 1000);
      const behind = sample.framesPerSecond < (open * 1000 * 0.9) / FULL_TICK_MS; // setInterval loses some before
      if (sample.core > FULL || behind || step === MAX_STEPS) return sample;
      more = Math.ceil(open * Math.min(0.5, 0.9 / sample.core - 1));
    }
  });
}

async function withServer<T>(
  name: ServerName,
  tickMs: number,
  run: (server: Server, load: Load) => Promise<T>,
): Promise<T> {
  const server = await startServer(name, tickMs);
  const load = startLoad(server.port, tickMs);
  try {
    return await run(server, load);
  } finally {
    await load.stop();
    await server.stop();
  }
}

async function measure(
  server: ServerName,
  { pid }: Server,
  load: Load,
  connections: number,
  forMs: number,
): Promise<Sample> {
  const before = cpuMicroseconds(pid);
  const start = performance.now();
  const { frames, lateness, drift, missing, clientCpu } = await load.measure(forMs);
  const microseconds = (performance.now() - start) * 1000;
  const after = cpuMicroseconds(pid);

  const used = after.total - before.total;
  const [user, system] = [after.user - before.user, after.system - before.system];
  const cpu = used / frames;
  return {
    server,
    connections,
    framesPerSecond: (frames / microseconds) * 1e6,
    cpu,
    user: (cpu * user) / (user + system),
    system: (cpu * system) / (user + system),
    core: used / microseconds,
    clientCpu,
    lateness,
    drift,
    missing,
  };
}
