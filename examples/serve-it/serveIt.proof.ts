import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { get, type IncomingMessage, type RequestListener } from 'node:http';
import { request as requestTls } from 'node:https';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isNginxMissing, startNginx, type Nginx } from '../../test/support/nginx.ts';
import { freePort } from '../../test/support/processes.ts';
import { eventually, listen } from '../../test/support/testServer.ts';

/** Starts nginx before one server twice, until the test has finished. */
async function start(listener: RequestListener, share?: number): Promise<Nginx> {
  const { port } = await listen(listener);
  const nginx = await startNginx([port, port], share);
  onTestFinished(nginx.stop);
  return nginx;
}

async function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, headers });
  onTestFinished(() => void request.destroy());
  const [answer]: IncomingMessage[] = await once(request, 'response');
  if (!answer) throw new Error('expected an answer');
  return answer.on('error', () => {});
}

/** Waits until an answer is over, also by a cut. */
function closed(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve) => answer.resume().on('close', resolve));
}

const stream: RequestListener = (_req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
  res.write('data: 1\n\n');
};

describe.skipIf(isNginxMissing())('nginx.conf', () => {
  test('keeps tokens out of the error log, whatever happens to a stream', async () => {
    const cut: RequestListener = (req, res) => {
      stream(req, res);
      setImmediate(() => res.destroy());
    };
    const cutting = await start(cut);
    await closed(await ask(cutting.ports.http, '/count?token=secret'));

    const [one, other] = [await freePort(), await freePort()];
    const refused = await startNginx([one, other]);
    onTestFinished(refused.stop);
    expect((await ask(refused.ports.http, '/count?token=secret')).statusCode).toBe(502);

    const limited = await start(stream, 2);
    for (let n = 0; n < 2; n += 1)
      expect((await ask(limited.ports.http, '/count?token=secret')).statusCode).toBe(200);
    expect((await ask(limited.ports.http, '/count?token=secret')).statusCode).toBe(503);
    expect((await ask(limited.ports.http, '/page?token=secret')).statusCode).toBe(200); // only streams

    for (const nginx of [cutting, refused, limited]) expect(nginx.errorLog()).not.toContain('secret');
  });

  test('hands the app the client’s host, address and scheme', async () => {
    const { ports } = await start((req, res) => res.end(JSON.stringify(req.headers)));
    const request = requestTls({
      host: '127.0.0.1',
      port: ports.https,
      rejectUnauthorized: false,
      headers: { Host: 'app.example', 'X-Forwarded-For': '6.6.6.6' },
    });
    request.end();
    const [answer]: IncomingMessage[] = await once(request, 'response');
    const body = (await answer?.setEncoding('utf8').reduce((all, chunk: string) => all + chunk, '')) ?? '';
    expect(JSON.parse(body)).toMatchObject({
      host: 'app.example',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'https',
    });
  });

  test('compresses answers, but no stream, and redirects from port 80', async () => {
    const text = JSON.stringify('text '.repeat(1000));
    const { ports } = await start((req, res) => {
      if (req.url === '/count') stream(req, res);
      else res.setHeader('Content-Type', 'application/json').end(text);
    });
    const gzip = { 'Accept-Encoding': 'gzip' };
    expect((await ask(ports.http, '/page', gzip)).headers['content-encoding']).toBe('gzip');
    expect((await ask(ports.http, '/count', gzip)).headers['content-encoding']).toBe(undefined);
    const redirect = await ask(ports.redirect, '/count?x', { Host: 'app.example' });
    expect([redirect.statusCode, redirect.headers.location]).toEqual([301, 'https://app.example/count?x']);
  });

  test.skipIf(process.platform === 'win32')(
    'a reload leaves no worker behind, though a stream is open',
    async () => {
      const { ports, process: nginx } = await start((req, res) => {
        stream(req, res);
        const timer = setInterval(() => res.write('data: 2\n\n'), 500); // else nginx would find it dead
        res.on('close', () => clearInterval(timer));
      });
      const workers = (): string[] =>
        execFileSync('pgrep', ['-P', String(nginx.child.pid)], { encoding: 'utf8' })
          .trim()
          .split('\n');
      const before = workers();
      const answer = await ask(ports.http, '/count');
      nginx.child.kill('SIGHUP');
      await closed(answer);
      await eventually(() => workers().every((pid) => !before.includes(pid)));
    },
  );
});
