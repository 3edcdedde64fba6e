import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, type RequestOptions } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { isMissing, programPath } from './browser.ts';
import { cert, key } from './certificate.ts';
import { freePort, launch, listeningOn, type Launched } from './processes.ts';

const nginxPath = programPath('nginx');

/** The file that people copy. */
const CONF = join(import.meta.dirname, '..', '..', 'examples', 'serve-it', 'nginx.conf');

/** nginx in front of two servers, from `serve-it/nginx.conf`. */
export interface Nginx {
  /**
   * Where it listens: with TLS, HTTP/2 and a self-signed certificate, the same without TLS over HTTP/1.1, and
   * where it redirects.
   */
  ports: { https: number; http: number; redirect: number };
  process: Launched;
  /** All that it has logged, as requests and as errors. */
  logs(): string;
  /** Ends it, and removes its files. */
  stop(): Promise<void>;
}

/** Whether tests that need nginx must be skipped; see `isMissing`. It is required only on Linux. */
export function isNginxMissing(): boolean {
  const isRequired = process.env['CI'] === 'true' && process.platform === 'linux';
  return isMissing('nginx', nginxPath, 'Install nginx 1.22 or later.', isRequired);
}

/**
 * Starts nginx from `serve-it/nginx.conf` in front of servers on these two ports of 127.0.0.1, and waits
 * until it listens. One address may open `share` connections; default 10,000, because all clients of a test
 * have the same. A silent server is left after `readTimeout`.
 */
export async function startNginx(
  servers: readonly [number, number],
  share = 10_000,
  readTimeout = '3s', // three ticks of the counter, not two heartbeats
): Promise<Nginx> {
  if (nginxPath === undefined) throw new Error('expected nginx');
  const ports = { https: await freePort(), http: await freePort(), redirect: await freePort() };
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
  chmodSync(folder, 0o755); // started by root, nginx runs its workers as another user
  writeFileSync(join(folder, 'counter.pem'), cert);
  writeFileSync(join(folder, 'counter.key'), key);

  const settings: [string, string][] = [
    ['http {', `http {\n${TEMPORARY.map((of) => `  ${of}_temp_path ${of};`).join('\n')}`],
    ['worker_processes auto', 'worker_processes 1'], // so that its servers take turns
    ['/var/log/nginx/access.log', join(folder, 'access.log')],
    ['127.0.0.1:7001', `127.0.0.1:${servers[0]}`],
    ['127.0.0.1:7002', `127.0.0.1:${servers[1]}`],
    ['listen 443', `listen 127.0.0.1:${ports.http}; listen 127.0.0.1:${ports.https}`],
    ['listen 80', `listen 127.0.0.1:${ports.redirect}`],
    ['/etc/ssl/app.pem', join(folder, 'counter.pem')],
    ['/etc/ssl/app.key', join(folder, 'counter.key')],
    ['per_address 100', `per_address ${share}`],
    ['proxy_read_timeout 35s', `proxy_read_timeout ${readTimeout}`],
  ];
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, settings.reduce(fillIn, readFileSync(CONF, 'utf8')));

  const here = 'daemon off; pid nginx.pid; error_log error.log;';
  const command = [nginxPath, '-p', folder, '-c', file, '-e', 'error.log', '-g', here];
  // SIGKILL would leave its workers running.
  const nginx = launch(command, { signal: 'SIGTERM' });
  const stop = async (): Promise<void> => {
    await nginx.stop();
    rmSync(folder, { recursive: true });
  };
  for (const port of Object.values(ports)) await listeningOn(port, nginx);
  const logs = (): string => LOGS.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  return { ports, process: nginx, logs, stop };
}

/** Asks, and leaves what is answered open until the test has finished. */
export async function askNginx(port: number, options: RequestOptions): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, agent: false, ...options });
  onTestFinished(() => void request.destroy());
  const [answer]: IncomingMessage[] = await once(request, 'response');
  if (!answer) throw new Error('expected an answer');
  return answer.on('error', () => {}); // cut off at the end of the test, or by a server that was killed
}

const LOGS = ['access.log', 'error.log'];

/** Folders that nginx creates at its start, by default where only root may. */
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

function fillIn(text: string, [from, to]: [string, string]): string {
  if (!text.includes(from)) throw new Error(`nginx.conf: expected ${from} in it`);
  return text.replaceAll(from, to);
}
