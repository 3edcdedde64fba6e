import { isNginxMissing, startNginx } from '../e2e/support/nginx.ts';
import { childrenOf, cpuMicroseconds, hasProc, sleep, startLoad, startServer } from './processes.ts';

const TICK_MS = 1000;

/** CPU per frame of one server alone and of two behind nginx, as rows for a table. */
export async function measureCluster(connections: number, forMs: number): Promise<string[][]> {
  const title = `${connections.toLocaleString('en')} connections, a frame a second each: `;
  if (!hasProc || isNginxMissing()) return [[`${title}behind nginx`, 'not measured']];
  const alone = await startServer('this server', TICK_MS);
  const second = await startServer('this server', TICK_MS);
  const others = new Set(childrenOf(process.pid));
  const nginx = await startNginx([alone.port, second.port]);
  try {
    // Asked before the load starts, which is a child of this process too.
    const master = childrenOf(process.pid).filter((pid) => !others.has(pid));
    const workers = master.flatMap(childrenOf);
    const [direct = NaN] = await perFrame(alone.port, [[alone.pid]], connections, forMs);
    const [servers = NaN, proxy = NaN] = await perFrame(
      nginx.ports.http,
      [[alone.pid, second.pid], workers],
      connections,
      forMs,
    );
    return [
      [`${title}one server alone`, `${direct.toFixed(1)} µs of CPU per frame`],
      [
        `${title}two behind nginx`,
        `${servers.toFixed(1)} µs in the servers, ${proxy.toFixed(1)} µs in nginx`,
      ],
    ];
  } finally {
    await nginx.stop();
    await second.stop();
    await alone.stop();
  }
}

async function perFrame(
  port: number,
  groups: number[][],
  connections: number,
  forMs: number,
): Promise<number[]> {
  const load = startLoad(port, TICK_MS);
  const used = (): number[] =>
    groups.map((pids) => pids.reduce((sum, pid) => sum + cpuMicroseconds(pid).total, 0));
  try {
    await load.open(connections, 2 * TICK_MS);
    await sleep(2 * TICK_MS);
    const before = used();
    const { frames } = await load.measure(forMs);
    return used().map((microseconds, i) => (microseconds - (before[i] ?? 0)) / frames);
  } finally {
    await load.stop();
    await sleep(TICK_MS);
  }
}
