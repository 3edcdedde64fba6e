import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createApp } from './app.ts';
import { createExpressServer } from './expressServer.ts';
import { fail, failToListen, readSettingsOrExit } from './settings.ts';

/** What is still open this long after SIGTERM, SIGINT or an uncaught exception is cut. */
const DRAIN_DEADLINE_MS = 5000;

/** A connection on which nothing moves for so long is cut, unless it is a stream: see server/eventStream.ts. */
const IDLE_AFTER_MS = 60_000;

const pageFolder = join(import.meta.dirname, '..', 'dist');
const settings = readSettingsOrExit();
if (!existsSync(join(pageFolder, 'index.html')))
  fail('dist/index.html: expected the built page, found none. Run npm run build first');

const { app, drain } = createApp({ ...settings, pageFolder });
const server = createExpressServer(app).setTimeout(IDLE_AFTER_MS);
server.on('error', (error) =>
  server.listening ? console.error(error) : failToListen(error, settings.port, 'npm start'),
);
server.listen({ port: settings.port, host: settings.host }, () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://localhost:${address.port}`);
});

process.on('SIGTERM', shutDown).on('SIGINT', shutDown);
process.once('uncaughtException', (error) => {
  console.error(error);
  process.exitCode = 1;
  shutDown();
});

/** Lets nobody in, sends the open streams away, and leaves when the last connection has closed. */
function shutDown(): void {
  process.off('SIGTERM', shutDown).off('SIGINT', shutDown); // so that a second signal ends the process at once
  server.close();
  drain();
  setTimeout(() => process.exit(), DRAIN_DEADLINE_MS).unref();
}
