import { extname } from 'node:path';
import type { Express, RequestHandler } from 'express';

/** Serves `app` and the page in `folder` on `port`, default `PORT` or 7000, and prints the URL. */
export function serve(app: Express, folder: string, port = Number(process.env['PORT'] ?? 7000)): void {
  app.use(page(folder));
  const server = app.listen(port, (error) => {
    if (error) throw error;
    const address = server.address();
    if (address !== null && typeof address === 'object') console.log(`http://localhost:${address.port}`);
  });
}

/** Serves the page in `folder` from memory. It is built at the first request; restart to see edits. */
export function page(folder: string): RequestHandler {
  let files: ReturnType<typeof buildPage> | undefined;
  return async (req, res, next) => {
    files ??= buildPage(folder);
    const path = req.path === '/' ? '/index.html' : req.path;
    const body = (await files).get(path);
    if (body === undefined) next();
    else res.type(extname(path)).send(body);
  };
}

async function buildPage(root: string): Promise<Map<string, string | Buffer>> {
  const { build } = await import('vite'); // as late as this, so that the server starts at once
  const built = await build({ root, configFile: false, logLevel: 'warn', build: { write: false } });
  const files = [built].flat().flatMap((result) => ('output' in result ? result.output : []));
  return new Map(
    files.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : content(file.source)]),
  );
}

function content(source: string | Uint8Array): string | Buffer {
  return typeof source === 'string' ? source : Buffer.from(source);
}
