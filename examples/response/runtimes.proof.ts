import { execFileSync, execSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { bundle } from '../../test/support/bundle.ts';
import {
  freePort,
  launch,
  listening,
  listeningOn,
  type ServerProcess,
} from '../../test/support/processes.ts';
import { serves } from './responseChecks.ts';

const folder = join(import.meta.dirname, 'runtimes');
const installed = (path: string): string => join(folder, 'node_modules', path);
const NEXT = installed('next/dist/bin/next');
const REACT_ROUTER = installed('@react-router/dev/bin.js');
const BUN = installed('@oven/bun-linux-x64/bin/bun');
const DENO = installed('@deno/linux-x64-glibc/deno');
const WORKERD = installed('@cloudflare/workerd-linux-64/bin/workerd');

beforeAll(() => {
  execSync('npm install --no-package-lock --no-audit --no-fund', { cwd: folder });
});

serves('Next.js', '/numbers', async () => {
  const cwd = join(folder, 'next');
  const env = { NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' } as const;
  execFileSync(process.execPath, [NEXT, 'build'], { cwd, env: { ...process.env, ...env } });
  const command = [process.execPath, NEXT, 'start', '--port', '0', '--hostname', '127.0.0.1'];
  return listening(launch(command, { folder: cwd, env }));
});

serves('React Router', '/numbers', async () => {
  const cwd = join(folder, 'react-router');
  const env = { ...process.env, NODE_ENV: 'production' };
  execFileSync(process.execPath, [REACT_ROUTER, 'build'], { cwd, env });
  const port = await freePort();
  const command = [process.execPath, installed('@react-router/serve/bin.js'), 'build/server/index.js'];
  const options = { folder: cwd, env: { ...env, PORT: String(port), HOST: '127.0.0.1' } };
  return listeningOn(port, launch(command, options));
});

serves('Bun', '/', () => listening(launch([BUN, join(folder, 'bun.js')])));

serves('Deno', '/', () =>
  listening(launch([DENO, 'run', '--no-config', '--allow-net', join(folder, 'deno.js')])),
);

const startWorkerd = async (): Promise<ServerProcess> => {
  const place = await mkdtemp(join(tmpdir(), 'worker-'));
  const port = await freePort();
  await writeFile(join(place, 'worker.js'), await bundle(join(folder, 'worker.js')));
  const config = `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [(name = "main", worker = (
        modules = [(name = "worker", esModule = embed "worker.js")], compatibilityDate = "2026-11-01"))],
      sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
    );`;
  await writeFile(join(place, 'config.capnp'), config);
  const server = await listeningOn(port, launch([WORKERD, 'serve', join(place, 'config.capnp')]));
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(place, { recursive: true }); // not in afterAll, which a hook that runs can no longer register
  };
  return { ...server, stop };
};

serves('workerd, Cloudflare’s runtime, which notices a leaver at the next write', '/', startWorkerd, 500);
