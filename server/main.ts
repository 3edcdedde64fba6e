import { existsSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createApp } from './app.ts';
import { createExpressServer } from './expressServer.ts';
import { exit, listenOrExit, settingsOrExit } from './start.ts';

/** What is still open this long after a signal or an uncaught exception is cut. */
const DRAIN_DEADLINE_MS = 5000;

/** A connection on which nothing moves for so long is cut. A stream's heartbeats count as movement. */
const IDLE_AFTER_MS = 60_000;

/** Requests that a connection may carry, as in Apache: so few can be pipelined behind an endless answer. */
const MAX_REQUESTS_PER_CONNECTION = 100;

const settings = settingsOrExit();
const pageFolder = join(import.meta.dirname, '..', 'dist');
if (!existsSync(join(pageFolder, 'index.html')))
  exit('dist/index.html: expected the built page, found none. Run npm run build first');

const { app, drain } = createApp({ ...settings, pageFolder });
const server = createExpressServer(app).setTimeout(IDLE_AFTER_MS);
server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
server.on('request', (_req, res) => res.on('finish', closeIfDraining));
listenOrExit(server, settings.port, settings.host, 'npm start');

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

/** Ends a connection that would stay for another request, once its answer has been sent. */
function closeIfDraining(this: ServerResponse): void {
  if (!server.listening) this.req.socket.end();
}
