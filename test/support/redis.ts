import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMissing, programPath } from './browser.ts';
import { freePort, launch, listeningOn, type Launched } from './processes.ts';

const redisPath = programPath('redis-server');

/** Whether tests that need Redis must be skipped; see `isMissing`. */
export function isRedisMissing(): boolean {
  return isMissing('redis-server', redisPath, 'Install Redis 7 or later.');
}

/** A Redis of the test's own. */
export interface Redis {
  port: number;
  process(): Launched;
  /** Kills it. */
  kill(): Promise<void>;
  /** Starts it again, with what it had. */
  start(): Promise<void>;
  /** Ends it, and removes its data. */
  stop(): Promise<void>;
}

/** Starts a Redis that has written to disk what it acknowledges. */
export async function startRedis(): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'));
  const port = await freePort();
  const options = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--dir', folder];
  let redis: Launched;
  async function start(): Promise<void> {
    redis = launch([redisPath ?? '', '--port', String(port), '--bind', '127.0.0.1', ...options]);
    await listeningOn(port, redis);
  }
  await start();
  return {
    port,
    process: () => redis,
    kill: () => redis.stop(),
    start,
    async stop() {
      await redis.stop();
      await rm(folder, { recursive: true });
    },
  };
}
