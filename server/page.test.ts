import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Express } from 'express';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from './app.ts';
import { request } from '../test/support/rawHttp.ts';
import { eventually, listen } from '../test/support/testServer.ts';

/** More than is read at once: a file that is read to its end is closed. */
const FILE_BYTES = 200_000;

let folder: string;
let app: Express;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-counter-'));
  await mkdir(join(folder, 'page', 'assets'), { recursive: true });
  await writeFile(join(folder, 'page', 'index.html'), '<!doctype html><title>page</title>');
  await writeFile(
    join(folder, 'page', 'assets', 'index-1a2b.js'),
    `console.log('${'x'.repeat(FILE_BYTES)}');`,
  );
  await writeFile(join(folder, 'secret.txt'), 'kept to ourselves');
  ({ app } = createApp({ pageFolder: join(folder, 'page') }));
});
afterAll(() => rm(folder, { recursive: true }));

test('index.html is asked for anew each time', async () => {
  const answer = await supertest(app).get('/');
  expect(answer.status).toBe(200);
  expect(answer.get('Cache-Control')).toBe('no-cache');
  expect(answer.text).toContain('<title>page</title>');
});

test('assets, whose names hold a hash, are kept for ever and sent compressed', async () => {
  const answer = await supertest(app).get('/assets/index-1a2b.js').set('Accept-Encoding', 'gzip');
  expect(answer.status).toBe(200);
  expect(answer.get('Cache-Control')).toBe('public, max-age=31536000, immutable');
  expect(answer.get('Content-Encoding')).toBe('gzip');
});

test('the Content-Security-Policy allows nothing inline and nothing from elsewhere', async () => {
  const policy = (await supertest(app).get('/')).get('Content-Security-Policy');
  expect(policy).toBe(
    "default-src 'none';script-src 'self';style-src 'self';img-src 'self';connect-src 'self';" +
      "base-uri 'none';form-action 'none';frame-ancestors 'none'",
  );
});

test.each([
  '/../secret.txt',
  '/%2e%2e/secret.txt',
  '/..%2fsecret.txt',
  '/assets/..%5c..%5csecret.txt',
  '/%00',
  '/%E0%',
  '/nope',
])('%s is not found', async (path) => {
  const answer = await (await listen(app)).send(request('GET', path, 'Connection: close')).closed;
  expect(answer).toMatch(/^HTTP\/1.1 404 /);
  expect(answer).not.toMatch(/kept to ourselves|at .*\.js|Express/);
});

describe('requests pipelined behind', () => {
  const asset = request('GET', '/assets/index-1a2b.js');
  const last = request('GET', '/assets/index-1a2b.js', 'Connection: close');

  test('a file are answered in their turn', async () => {
    const answers = await (await listen(app)).send(asset + request('GET', '/nope') + last).closed;
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
    expect(answers.match(/console\.log\('x+'\);/g)).toHaveLength(2);
  });

  test.skipIf(process.platform === 'win32')('a stream open no file that outlives their client', async () => {
    const server = await listen(app);
    await server.send(last).closed;
    const descriptors = await countDescriptors();
    const clients = Array.from({ length: 3 }, () => server.send(request('GET', '/count') + asset.repeat(90)));
    await Promise.all(clients.map((client) => client.until('retry: ')));
    await server.send(last).closed; // its file is opened after theirs
    for (const client of clients) client.socket.destroy();
    await eventually(async () => (await countDescriptors()) <= descriptors);
  });
});

/** The descriptors that this process has open, on Linux and macOS. */
async function countDescriptors(): Promise<number> {
  return (await readdir('/dev/fd')).length;
}
