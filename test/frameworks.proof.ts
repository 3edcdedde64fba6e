import { execSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { launch, type Launched } from './support/processes.ts';
import { eventually, serverProcess } from './support/testServer.ts';

const folder = join(import.meta.dirname, 'frameworks');
const STREAM = /^retry: \d+\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\nevent: end\ndata: \n\n$/;
const SERVERS = [
  'fastify',
  'koa',
  'hono',
  'express 4',
  'opentelemetry',
  'polka compression, which leaves short chunks alone',
];

let servers: Launched;
beforeAll(async () => {
  execSync('npm ci --no-audit --no-fund', { cwd: folder });
  servers = launch([process.execPath, '--import', 'tsx', join(folder, 'servers.js')]);
  await eventually(() => servers.output().includes('injected'));
});
afterAll(() => servers.stop());

/** Where this server listens. */
function url(name: string): string {
  const [, port] = new RegExp(`^server (\\d+) ${name}$`, 'm').exec(servers.output()) ?? [];
  return `http://127.0.0.1:${port}/`;
}

test.each(SERVERS)('a stream arrives whole under %s', async (name) => {
  const answer = await fetch(url(name), { headers: { 'Accept-Encoding': 'gzip' } });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  expect(await answer.text()).toMatch(STREAM);
});

test('a stream that ends can be read by Fastify’s inject', () => {
  const [, body = ''] = /^injected (.*)$/m.exec(servers.output()) ?? [];
  expect(JSON.parse(body)).toMatch(STREAM);
});

test('a middleware that would hold messages back is found out at once', async () => {
  const asked = fetch(url('polka compression of all'), { headers: { 'Accept-Encoding': 'gzip' } });
  await expect(asked).rejects.toThrow('fetch failed');
  await eventually(() => servers.output().includes('error Content-Encoding: expected none'));
});

test('OpenTelemetry has a span for the stream when it has ended', async () => {
  await (await fetch(url('opentelemetry'))).text();
  await eventually(() => /^spans [1-9]/m.test(servers.output()));
});

test('@microsoft/fetch-event-source comes back to a server that was killed', async () => {
  // It asks for a page, though only to learn whether it is visible.
  vi.stubGlobal('window', globalThis);
  vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: false }));
  onTestFinished(() => void vi.unstubAllGlobals());
  const path = join(folder, 'node_modules/@microsoft/fetch-event-source');
  const { fetchEventSource } = await import(join(path, 'lib/cjs/index.js'));
  const server = await serverProcess({ TICK_MS: '100' });
  const ids: string[] = [];
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  let errors = 0;
  void fetchEventSource(`${server.url}/count`, {
    signal: abort.signal,
    openWhenHidden: true,
    onmessage: ({ id }: { id: string }) => id && ids.push(id),
    onerror: () => {
      errors += 1;
      return 50; // ms until the next attempt
    },
  });
  await eventually(() => ids.length >= 3);
  await server.stop();
  await eventually(() => errors > 0);
  await serverProcess({ TICK_MS: '100', PORT: String(server.port) });
  const before = ids.length;
  await eventually(() => ids.length >= before + 3);
  expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => String(i + 1)));
});
