import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, RequestOptions, ServerResponse } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { askNginx, isNginxMissing, startNginx, type Nginx } from '../../test/support/nginx.ts';
import { freePort, launch, listeningOn } from '../../test/support/processes.ts';
import { eventually, listen } from '../../test/support/testServer.ts';

/** Starts nginx before two servers until the test has finished. */
async function startBefore(ports: [number, number], share?: number): Promise<Nginx> {
  const nginx = await startNginx(ports, share);
  onTestFinished(nginx.stop);
  return nginx;
}

/** Starts nginx before one server twice. */
async function start(listener: RequestListener, share?: number): Promise<Nginx> {
  const { port } = await listen(listener);
  return startBefore([port, port], share);
}

const ask = ({ ports }: Nginx, options?: RequestOptions): Promise<IncomingMessage> =>
  askNginx(ports.http, { path: '/count?token=secret', ...options });

async function statuses(nginx: Nginx, times: number, path?: string): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = [];
  for (let n = 0; n < times; n += 1) found.push((await ask(nginx, path ? { path } : {})).statusCode);
  return found;
}

/** Waits until an answer is over, also by a cut. */
function closed(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve) => answer.resume().on('close', resolve));
}

function stream(res: ServerResponse): void {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
  res.write('data: 1\n\n');
}

describe.skipIf(isNginxMissing())('nginx.conf', () => {
  test('shows a crash as a cut, limits only streams, and keeps tokens out of its logs', async () => {
    const cutting = await start((_req, res) => {
      stream(res);
      setImmediate(() => res.destroy());
    });
    const answer = await ask(cutting);
    await closed(answer);
    expect(answer.complete).toBe(false);

    const refused = await startBefore([await freePort(), await freePort()]);
    expect(await statuses(refused, 1)).toEqual([502]);

    const limited = await start((_req, res) => stream(res), 2);
    expect(await statuses(limited, 3)).toEqual([200, 200, 503]);
    expect(await statuses(limited, 1, '/page?token=secret')).toEqual([200]);

    for (const { logs } of [cutting, refused, limited]) {
      await eventually(() => logs().includes(' /count '));
      expect(logs()).not.toContain('secret');
    }
  });

  test('hands the app the client’s host, address and scheme, over HTTP/2', async () => {
    const { ports } = await start((req, res) => res.end(JSON.stringify(req.headers)));
    const session = connectHttp2(`https://127.0.0.1:${ports.https}`, { rejectUnauthorized: false });
    onTestFinished(() => session.destroy());
    const answer = session.request({ ':authority': 'app.example', 'x-forwarded-for': '6.6.6.6' });
    const body = await answer.setEncoding('utf8').reduce((all, chunk: string) => all + chunk, '');
    expect(JSON.parse(body)).toMatchObject({
      host: 'app.example',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'https',
    });
  });

  test('compresses answers, but no stream, and redirects from port 80', async () => {
    const text = JSON.stringify('text '.repeat(1000));
    const nginx = await start((req, res) => {
      if (req.url === '/count') stream(res);
      else res.setHeader('Content-Type', 'application/json').end(text);
    });
    const encoding = async (path: string): Promise<unknown> =>
      (await ask(nginx, { path, headers: { 'Accept-Encoding': 'gzip' } })).headers['content-encoding'];
    expect([await encoding('/page'), await encoding('/count')]).toEqual(['gzip', undefined]);
    const headers = { Host: 'app.example' };
    const redirect = await askNginx(nginx.ports.redirect, { path: '/count?x', headers });
    expect([redirect.statusCode, redirect.headers.location]).toEqual([301, 'https://app.example/count?x']);
  });

  test.each<[string, (res: ServerResponse) => unknown]>([
    ['refuses', (res) => res.writeHead(503).end()],
    ['has lost its own upstream', (res) => res.writeHead(502).end()],
    ['breaks off', (res) => res.destroy()],
    ['hangs', () => {}],
  ])('asks the other server when one %s', async (_what, fail) => {
    let asked = 0;
    const nginx = await start((_req, res) => ((asked += 1) === 1 ? fail(res) : stream(res)));
    expect(await statuses(nginx, 1)).toEqual([200]);
    expect(asked).toBe(2);
  });

  test('asks a server that is back at once', async () => {
    const one = await listen((_req, res) => stream(res));
    const other = await listen((_req, res) => stream(res));
    const nginx = await startBefore([one.port, other.port]);
    other.server.close();
    expect(await statuses(nginx, 4)).toEqual([200, 200, 200, 200]);
    other.server.listen(other.port, '127.0.0.1');
    let asked = 0;
    other.server.on('request', () => (asked += 1));
    await statuses(nginx, 4);
    expect(asked).toBe(2);
  });

  const onLinux = test.skipIf(process.platform !== 'linux');
  onLinux('does not wait for a server that takes no connections', { timeout: 30_000 }, async () => {
    const [{ port }, full] = [await listen((_req, res) => stream(res)), await freePort()];
    const code = `require('net').createServer().listen({ port: ${full}, host: '127.0.0.1', backlog: 1 })`;
    const hung = launch([process.execPath, '-e', code]);
    onTestFinished(hung.stop);
    await listeningOn(full, hung);
    hung.child.kill('SIGSTOP');
    for (let n = 0; n < 4; n += 1) {
      const socket = connect(full, '127.0.0.1').on('error', () => {});
      onTestFinished(() => void socket.destroy());
    }
    expect(await statuses(await startBefore([full, port]), 2)).toEqual([200, 200]);
  });

  onLinux('carries many streams, and a reload leaves none behind', async () => {
    const nginx = await start((_req, res) => {
      stream(res);
      const timer = setInterval(() => res.write('data: 2\n\n'), 500); // else nginx would find it dead
      res.on('close', () => clearInterval(timer));
    });
    const answers = await Promise.all(Array.from({ length: 300 }, () => ask(nginx)));
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
    const workers = (): string[] =>
      execFileSync('pgrep', ['-P', String(nginx.process.child.pid)], { encoding: 'utf8' })
        .trim()
        .split('\n');
    const [before = ''] = workers();
    const limits = readFileSync(`/proc/${before}/limits`, 'utf8');
    expect(limits + nginx.logs()).toMatch(/Max open files +40000 |RLIMIT_NOFILE, 40000/); // or it may not
    nginx.process.child.kill('SIGHUP');
    await Promise.all(answers.map(closed));
    await eventually(() => !workers().includes(before));
  });
});
