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
  /** Where it is started. Default: the project's folder. */
  folder?: string;
}

export const THIS_SERVER = 'this server';
export const TUTORIAL = 'the tutorial’s `res.write`';
export const BASELINE = 'baseline';

const benchFolder = import.meta.dirname;
const buildFolder = mkdtempSync(join(tmpdir(), 'bench-'));
process.once('exit', () => rmSync(buildFolder, { recursive: true }));

/** This server and the libraries, on one version of Node. */
export function nodeServers(version: number): Contender[] {
  const servers = {
    [THIS_SERVER]: ['--import', 'tsx', 'server/main.ts'],
    [`${THIS_SERVER}, \`npm start\``]: packageJson.scripts.start.split(' ').slice(1), // with a flag of its own
    [TUTORIAL]: ['bench/servers/tutorial.js'],
    '@fastify/sse': ['bench/servers/fastify-sse.js'],
    'better-sse': ['bench/servers/better-sse.js'],
    hono: ['bench/servers/hono.js'],
  };
  const path = `node${version}/bin/node`;
  return Object.entries(servers).flatMap(([name, args]) => installed(name, `Node ${version}`, path, args));
}

/** The servers of other runtimes, and the least that this machine can do: epoll in C. */
export function otherServers(): Contender[] {
  const denoArgs = ['run', '--no-config', '--allow-net', '--allow-env', 'bench/servers/deno.js'];
  return [
    ...built('net/http', 'Go', 'go.go', ['go', 'build']),
    ...installed('Bun.serve', 'Bun', '@oven/bun-linux-x64/bin/bun', ['bench/servers/bun.js']),
    ...installed('Deno.serve', 'Deno', '@deno/linux-x64-glibc/deno', denoArgs),
    ...built(BASELINE, 'C', 'baseline.c', ['cc', '-O2']),
  ];
}

function built(
  name: string,
  runtime: string,
  source: string,
  [compiler = '', ...args]: string[],
): Contender[] {
  const path = programPath(compiler);
  if (path === undefined) return skip(`${name}, ${runtime}`, compiler);
  const program = join(buildFolder, runtime);
  execFileSync(path, [...args, '-o', program, join(benchFolder, 'servers', source)]);
  return [{ name, runtime, command: [program] }];
}

function installed(name: string, runtime: string, path: string, args: string[]): Contender[] {
  const program = join(benchFolder, 'node_modules', path);
  if (!existsSync(program)) return skip(`${name}, ${runtime}`, program);
  return [{ name, runtime, command: [program, ...args] }];
}

function skip(what: string, expected: string): [] {
  console.error(`skipped ${what}: expected ${expected}, found none`);
  return [];
}
