import type { IncomingMessage, RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { askNginx, isNginxMissing, startNginx } from './support/nginx.ts';
import { isListening, type ServerProcess } from './support/processes.ts';
import { eventually, serverProcess } from './support/testServer.ts';

describe.skipIf(isNginxMissing())('behind nginx', () => {
  test('frames arrive one by one, from the last event ID on', async () => {
    const { port } = await start();
    const answer = await ask(port, { headers: { 'Accept-Encoding': 'gzip', 'Last-Event-ID': '41' } });
    const chunks: string[] = [];
    answer.setEncoding('utf8').on('data', (chunk) => chunks.push(chunk));
    await eventually(() => chunks.join('').includes('data: 44\n\n'));
    expect(chunks.join('')).toMatch(/^retry: \d+\n\nid: 42\ndata: 42\n\nid: 43\ndata: 43\n\nid: 44\n/);
    expect(chunks.length).toBeGreaterThan(2);
  });

  test('requests go to the other server when one is dead, and get a 502 when both are', async () => {
    const { port, servers } = await start();
    await servers[0].stop();
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    await servers[1].stop();
    expect((await ask(port)).statusCode).toBe(502);
  });

  test.skipIf(process.platform === 'win32')('requests go to the other server when one drains', async () => {
    const { port, servers } = await start();
    const [, draining] = servers;
    // Half a request keeps it open until its deadline.
    const half = connect(draining.port, '127.0.0.1', () => half.write('GET /count HTTP/1.1\r\n'));
    onTestFinished(() => void half.destroy());
    await eventually(() => half.bytesWritten > 0);
    await fetch(`${draining.url}/health`); // it has the half request when it answers this one
    draining.child.kill('SIGTERM');
    await eventually(async () => !(await isListening(draining.port)));
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    expect(draining.child.exitCode).toBe(null);
  });

  test('requests go to the other server when one is full', async () => {
    const { port } = await start({ MAX_CONNECTIONS: '2' });
    for (let i = 0; i < 4; i++) expect((await ask(port)).statusCode).toBe(200);
    expect((await ask(port)).statusCode).toBe(503);
  });

  test.skipIf(process.platform !== 'linux')('one address gets its share and no more', async () => {
    const { port } = await start({}, 3);
    for (let i = 0; i < 3; i++) expect((await ask(port)).statusCode).toBe(200);
    expect((await ask(port)).statusCode).toBe(503);
    expect((await ask(port, { localAddress: '127.0.0.2' })).statusCode).toBe(200);
  });
});

interface Started {
  port: number;
  servers: [ServerProcess, ServerProcess];
}

/** Starts two servers, and nginx in front of them. They end with the test. */
async function start(env: NodeJS.ProcessEnv = {}, share?: number): Promise<Started> {
  const ticking = { TICK_MS: '100', ...env };
  const servers: Started['servers'] = await Promise.all([serverProcess(ticking), serverProcess(ticking)]);
  const nginx = await startNginx([servers[0].port, servers[1].port], share);
  onTestFinished(nginx.stop);
  return { port: nginx.ports.http, servers };
}

const ask = (port: number, options?: RequestOptions): Promise<IncomingMessage> =>
  askNginx(port, { path: '/count', ...options });
