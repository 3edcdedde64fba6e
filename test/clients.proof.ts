import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { isMissing, programPath } from './support/browser.ts';
import type { ServerProcess } from './support/processes.ts';
import { eventually, serverProcess } from './support/testServer.ts';

const TICK_MS = 100;

const curl = programPath('curl');
const python = ['/usr/bin/python3', 'python3'].find((program) => hasRequests(program));

/** Prints each line with the time of its arrival, as every tutorial on `requests` reads a stream. */
const READ_LINES = `
import requests, sys, time
for line in requests.get(sys.argv[1], stream=True).iter_lines():
    print(time.time(), line.decode(), flush=True)
`;

function hasRequests(program: string): boolean {
  if (program.startsWith('/') && !existsSync(program)) return false;
  try {
    execFileSync(program, ['-c', 'import requests'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let server: ServerProcess;
beforeEach(async () => {
  server = await serverProcess({ TICK_MS: String(TICK_MS) });
});

/** Runs a program that reads the stream until the server is killed. Gives its output and its exit code. */
async function read(program: string, ...args: string[]): Promise<{ output: string; code: number | null }> {
  const child = spawn(program, args);
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  await eventually(() => output.includes('data: 5'));
  const closed = once(child, 'close'); // it may close before the server's own end is known
  await server.stop();
  const [code] = await closed;
  return { output, code };
}

test.skipIf(isMissing('curl', curl, 'Install curl.'))('curl takes a killed server for an error', async () => {
  const { output, code } = await read(curl ?? '', '-sN', `${server.url}/count`);
  expect(output).toMatch(/^retry: \d+\n\nid: 1\ndata: 1\n\n/);
  expect(code).toBe(18); // "Partial file. Only a part of the file was transferred."
});

test('fetch takes a killed server for an error', async () => {
  const answer = await fetch(`${server.url}/count`);
  const failed = expect(answer.text()).rejects.toThrow('terminated');
  await server.stop();
  await failed;
});

test.skipIf(isMissing('Python with requests', python, 'Install python3-requests.'))(
  'Python’s requests gets each number on time',
  async () => {
    const { output } = await read(python ?? '', '-c', READ_LINES, `${server.url}/count`);
    const times = [...output.matchAll(/^([\d.]+) data: /gm)].map(([, time]) => Number(time) * 1000);
    const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
    expect(span).toBeGreaterThan(((times.length - 1) * TICK_MS) / 2); // not all of them in one heap
  },
);
