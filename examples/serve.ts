import { existsSync, realpathSync } from 'node:fs';
import { createServer, STATUS_CODES, type RequestListener, type ServerResponse } from 'node:http';
import { basename, join, relative } from 'node:path';
import type { ErrorRequestHandler, Express, Response } from 'express';
import type { ViteDevServer } from 'vite';

/** On shutdown the open streams are closed at random times within this, so that not all clients return at once. */
const DRAIN_WINDOW_MS = 3000;
/** What is still open this long after a signal is cut. */
const DRAIN_DEADLINE_MS = 5000;

/**
 * Serves `app` on `PORT`, default 7000, and `HOST`, and prints the URL. Does nothing unless `module` is the file
 * that Node was started with, so that a test can import its `app`. On SIGTERM and SIGINT it stops accepting,
 * closes the open streams at random times within 3 s, and exits when the last connection has closed, at the
 * latest after 5 s. By default only this machine reaches it, because it also serves the page and the
 * sources beside an Express app; restart to see edits. With `NODE_ENV=production` it serves only `app`, to all.
 */
export function serve(app: Express | RequestListener, module: ImportMeta): void {
  if (realpathSync(process.argv[1] ?? '.') !== module.filename) return;
  const port = setting('PORT', 7000, 65_535);
  const command = `node --import tsx ${relative('.', module.filename)}`;
  const open = new Set<ServerResponse>();
  const server = createServer((req, res) => {
    res.on('finish', () => server.listening || req.socket.end()); // else Node would keep the connection
    if (!server.listening) return void res.writeHead(503, { 'Retry-After': 1 }).end('shutting down, retry\n');
    open.add(res);
    res.on('close', () => open.delete(res));
    app(req, res);
  });
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') fail(`PORT: expected one to listen on, found ${error.message}`);
    const owner = process.platform === 'darwin' && port === 7000 ? ' (on macOS usually by AirPlay)' : '';
    fail(`PORT: expected a free one, found ${port} in use${owner}; try PORT=${port + 1} ${command}`);
  });
  const isPublic = process.env['NODE_ENV'] === 'production';
  if (!isPublic && 'get' in app) addPage(app, module.dirname);
  server.listen({ port, host: process.env['HOST'] || (isPublic ? undefined : 'localhost') }, () => {
    const address = server.address();
    if (address !== null && typeof address === 'object') console.log(`http://localhost:${address.port}`);
  });

  // Handlers, also because process 1 of a container ignores signals without one.
  process.once('SIGTERM', shutDown).once('SIGINT', shutDown);
  function shutDown(): void {
    server.close(() => process.exit());
    setTimeout(() => process.exit(), DRAIN_DEADLINE_MS);
    for (const res of open) {
      // The client gets what is buffered. It takes a body without an end for a cut, and reconnects.
      if (res.headersSent) setTimeout(() => res.socket?.destroySoon(), Math.random() * DRAIN_WINDOW_MS);
    }
  }
}

/** Serves the page in `folder`, with Vite for what it imports. Vite is loaded here: production needs none. */
function addPage(app: Express, folder: string): void {
  const html = join(folder, 'index.html');
  let vite: Promise<ViteDevServer> | undefined;
  app.get('/', (_req, res) => (existsSync(html) ? res.sendFile(html) : res.send(reactPage(folder))));
  app.get('/page.css', (_req, res) => res.sendFile(join(folder, '..', 'page.css')));
  app.get(/./, async (req, res, next) => {
    vite ??= startVite(folder);
    (await vite).middlewares(req, res, next);
  });
}

/** The page of an example without an index.html. */
const reactPage = (folder: string): string => `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${basename(folder)}</title>
<link rel="stylesheet" href="/page.css">
<script type="module" src="/page.tsx"></script>
<main></main>`;

async function startVite(root: string): Promise<ViteDevServer> {
  const { createServer: create } = await import('vite');
  return create({
    root,
    configFile: false,
    appType: 'custom',
    logLevel: 'warn',
    cacheDir: join(root, '..', 'node_modules', '.vite', basename(root)),
    optimizeDeps: { entries: 'page.*' },
    server: {
      middlewareMode: true,
      hmr: false,
      ws: false,
      watch: null,
      fs: { allow: [join(root, '../..')] },
    },
  });
}

/** A whole number from the environment. A bad value ends the process with one line. */
export function setting(name: string, byDefault: number, max = 2 ** 31 - 1): number {
  const text = process.env[name] || String(byDefault);
  if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
  return fail(`${name}: expected a whole number from 0 to ${max}, found ${JSON.stringify(text)}`);
}

function fail(line: string): never {
  console.error(line);
  process.exit(1);
}

/** Answers with one line of text. Clients come back later after 429 and 503. */
export function refuse(res: Response, status: number, line = STATUS_CODES[status] ?? ''): void {
  if (status === 429 || status === 503) res.set('Retry-After', '1');
  res.status(status).set('Cache-Control', 'no-store').type('text/plain').send(`${line}\n`);
}

/** The last middleware of an app: logs the errors that are the server's. The client gets only the status. */
export const reportError: ErrorRequestHandler = (error, _req, res, next) => {
  const status = Number(error?.status ?? 500);
  if (status >= 500) console.error(error);
  if (res.headersSent) next(error);
  else refuse(res, status);
};
