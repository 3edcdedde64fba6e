import { execSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { launch, type Launched } from './support/processes.ts';
import { eventually } from './support/testServer.ts';

const folder = join(import.meta.dirname, 'frameworks');
const STREAM = /^retry: \d+\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\nevent: end\ndata: \n\n$/;

// node:http, node:https, node:http2 and Express 5 are in server/transports.test.ts, Next.js in react.proof.ts.
const SERVERS = [
  'fastify',
  'koa',
  'hono',
  'nest',
  'express 4',
  'opentelemetry',
  'polka compression, which leaves short chunks alone',
];

let servers: Launched;
beforeAll(async () => {
  execSync('npm install --no-package-lock --no-audit --no-fund', { cwd: folder });
  servers = launch([process.execPath, '--import', 'tsx', join(folder, 'servers.js')]);
  const { child, output } = servers; // loading so many frameworks takes a while
  await vi.waitUntil(() => output().includes(' hono') || child.exitCode !== null, { timeout: 120_000 });
});
afterAll(() => servers.stop());

/** Asks for the stream of a server. */
async function ask(name: string): Promise<Response> {
  const found = new RegExp(`^server (\\d+) ${name}$`, 'm').exec(servers.output());
  return fetch(`http://127.0.0.1:${found?.[1]}/`, { headers: { 'Accept-Encoding': 'gzip' } });
}

test.each(SERVERS)('a stream arrives whole under %s', async (name) => {
  const answer = await ask(name);
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  expect(await answer.text()).toMatch(STREAM);
});

test.each([
  ['Fastify’s inject', 'injected'],
  ['serverless-http', 'serverless'],
])('a stream that ends can be read by %s, and logs nothing', async (_what, word) => {
  await ask('fastify');
  const [, body = ''] = new RegExp(`^${word} (.*)$`, 'm').exec(servers.output()) ?? [];
  expect(JSON.parse(body)).toMatch(STREAM);
  expect(servers.output()).not.toContain('TypeError');
});

test('a middleware that would hold messages back is found out at once', async () => {
  await expect(ask('polka compression of all')).rejects.toThrow('fetch failed');
  await eventually(() => servers.output().includes('error Content-Encoding: expected none'));
});

test('OpenTelemetry has a span for the stream when it has ended', async () => {
  await (await ask('opentelemetry')).text();
  await eventually(() => /^spans [1-9]/m.test(servers.output()));
});
