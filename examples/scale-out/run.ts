// Runs Redis, two servers and nginx until Ctrl+C. Their data is in a temporary folder.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;
const port = Number(process.env['PORT'] ?? 7000);
const redisPort = port + 3;
const folder = mkdtempSync(join(tmpdir(), 'scale-out-'));
const children: ChildProcess[] = [];
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop(0));

const conf = readFileSync(join(here, 'nginx.conf'), 'utf8');
const withPorts = conf.replaceAll(/700([012])/g, (_, digit) => String(port + Number(digit)));
writeFileSync(join(folder, 'nginx.conf'), withPorts);

start('redis-server', [
  '--port',
  `${redisPort}`,
  '--bind',
  '127.0.0.1',
  '--dir',
  folder,
  '--appendonly',
  'yes',
  '--appendfsync',
  'always', // else a killed Redis has lost what it acknowledged while the disk was busy
]);
const servers = [1, 2].map((n) =>
  start(process.execPath, ['--import', 'tsx', join(here, 'server.ts')], { PORT: `${port + n}` }),
);
start('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']);
console.log(`http://localhost:${port}, servers ${servers.map(({ pid }) => pid).join(' and ')}`);

function start(program: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const PATH = `${process.env['PATH']}:/usr/sbin`; // where Debian has nginx
  const child = spawn(program, args, {
    env: { ...process.env, REDIS_URL: `redis://127.0.0.1:${redisPort}`, PATH, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  child.on('error', () => {
    console.error(`${program}: expected an installed one, found none`);
    void stop(1);
  });
  children.push(child);
  return child;
}

async function stop(code: number): Promise<never> {
  for (const child of children) {
    if (child.kill()) await once(child, 'exit');
  }
  rmSync(folder, { recursive: true });
  process.exit(code);
}
