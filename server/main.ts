import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createApp } from './app.ts';
import { createExpressServer } from './expressServer.ts';
import { fail, failToListen, readSettingsOrExit } from './settings.ts';

/** What is still open this long after a signal or an uncaught exception is cut. */
const DRAIN_DEADLINE_MS = 5000;

/** A connection on which nothing moves for so long is cut, unless it is a stream: see eventStream.ts. */
const IDLE_AFTER_MS = 60_000;

/** Requests that a connection may carry, as in Apache: so few can be pipelined behind an endless answer. */
const MAX_REQUESTS_PER_CONNECTION = 100;

const pageFolder = join(import.meta.dirname, '..', 'dist');
const settings = readSettingsOrExit();
if (!existsSync(join(pageFolder, 'index.html')))
  fail('dist/index.html: expected the built page, found none. Run npm run build first');

const { app, drain } = createApp({ ...settings, pageFolder });
const server = createExpressServer(app).setTimeout(IDLE_AFTER_MS);
server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
server.on('error', (error) =>
  server.listening ? console.error(error) : failToListen(error, settings.port, 'npm start'),
);
server.listen({ port: settings.port, host: settings.host }, () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(url(address));
});

process.on('SIGTERM', shutDown).on('SIGINT', shutDown).on('SIGHUP', shutDown);
process.once('uncaughtException', (error) => {
  console.error(error);
  process.exitCode = 1;
  shutDown();
});

/** Graceful shutdown: stop accepting, ask clients to reconnect, exit when the last connection closes. */
function shutDown(): void {
  // A second signal ends the process at once, but not SIGHUP: a terminal that closes sends it twice.
  process.off('SIGTERM', shutDown).off('SIGINT', shutDown);
  server.close();
  drain();
  setTimeout(() => process.exit(), DRAIN_DEADLINE_MS).unref();
}

/** Where a browser on this machine reaches the server: what listens on all addresses is at localhost. */
function url({ address, family, port }: AddressInfo): string {
  if (address === '::' || address === '0.0.0.0') return `http://localhost:${port}`;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
