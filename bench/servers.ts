import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { programPath } from '../test/support/browser.ts';

/** A server that is measured. */
export interface Contender {
  name: string;
  /** What runs it, such as `Node 24`. */
  runtime: string;
  command: readonly string[];
}

export const THIS_SERVER = 'this server';
const STARTED_BY_NPM = 'this server, by `npm start`';
export const TUTORIAL = 'the tutorial’s `res.write`';
export const BASELINE = 'baseline';

const benchFolder = import.meta.dirname;
const packagesFolder = join(benchFolder, 'node_modules');
const buildFolder = mkdtempSync(join(tmpdir(), 'bench-'));
process.once('exit', () => rmSync(buildFolder, { recursive: true }));

/** This server and the libraries, on one version of Node. */
export function nodeServers(version: number): Contender[] {
  const runtime = `Node ${version}`;
  const isCurrent = process.version.startsWith(`v${version}.`);
  const node = isCurrent ? process.execPath : installed(`node${version}/bin/node`, runtime);
  if (node === undefined) return [];
  const servers = {
    [THIS_SERVER]: ['--import', 'tsx', 'server/main.ts'],
    [STARTED_BY_NPM]: packageJson.scripts.start.split(' ').slice(1), // with a flag that the others do without
    [TUTORIAL]: ['bench/servers/tutorial.js'],
    '@fastify/sse': ['bench/servers/fastify-sse.js'],
    'better-sse': ['bench/servers/better-sse.js'],
    hono: ['bench/servers/hono.js'],
  };
  return Object.entries(servers).map(([name, args]) => ({ name, runtime, command: [node, ...args] }));
}

/** The servers of other runtimes. */
export function otherRuntimes(): Contender[] {
  const bun = installed('@oven/bun-linux-x64/bin/bun', 'Bun');
  const deno = installed('@deno/linux-x64-glibc/deno', 'Deno');
  const denoArgs = ['run', '--no-config', '--allow-net', '--allow-env', 'bench/servers/deno.js'];
  return [
    ...built('net/http', 'Go', 'go.go', ['go'], ['build']),
    ...(bun === undefined
      ? []
      : [{ name: 'Bun.serve', runtime: 'Bun', command: [bun, 'bench/servers/bun.js'] }]),
    ...(deno === undefined ? [] : [{ name: 'Deno.serve', runtime: 'Deno', command: [deno, ...denoArgs] }]),
  ];
}

/** The least that this machine can do: epoll in C, with a wake-up a frame or shared ones as in clock.ts. */
export function baselines(): Contender[] {
  if (process.platform !== 'linux') return skip(BASELINE, 'Linux, which has epoll');
  return built(BASELINE, 'C', 'baseline.c', ['cc', 'gcc', 'clang'], ['-O2']).flatMap((server) => [
    { ...server, name: `${BASELINE} with shared timers`, command: [...server.command, '100'] },
    server,
  ]);
}

function built(
  name: string,
  runtime: string,
  source: string,
  compilers: string[],
  args: string[],
): Contender[] {
  const compiler = programPath(...compilers);
  if (compiler === undefined) return skip(runtime, compilers.join(' or '));
  const program = join(buildFolder, source.replace('.', '-'));
  execFileSync(compiler, [...args, '-o', program, join(benchFolder, 'servers', source)]);
  return [{ name, runtime, command: [program] }];
}

function installed(path: string, runtime: string): string | undefined {
  const program = join(packagesFolder, path);
  if (existsSync(program)) return program;
  skip(runtime, `bench/node_modules/${path}`);
  return undefined;
}

function skip(what: string, expected: string): [] {
  console.error(`skipped ${what}: expected ${expected}, found none`);
  return [];
}
