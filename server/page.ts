import { sep } from 'node:path';
import compression from 'compression';
import express, { type RequestHandler, Router } from 'express';
import helmet from 'helmet';

/** Serves the built page of `folder`, compressed, under a strict Content-Security-Policy. */
export function servePage(folder: string): Router {
  const page = Router();
  page.use(waitForTurn);
  page.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
          imgSrc: ["'self'"],
          connectSrc: ["'self'"],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
        },
      },
      // Whether a host speaks only HTTPS is for the proxy to promise that holds its certificate.
      strictTransportSecurity: false,
    }),
  );
  page.use(compression());
  page.use(
    express.static(folder, {
      setHeaders(res, path) {
        // Vite puts a hash of the content into the name of all that it writes to assets/.
        const hashed = path.includes(`${sep}assets${sep}`);
        res.setHeader('Cache-Control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    }),
  );
  return page;
}

/**
 * Holds a pipelined request until the answers before it are sent (HTTP/1.1, RFC 9112, 9.3.2). Behind a stream
 * its turn may never come, and a response without a socket does not learn that its client has left: a file
 * opened for it would stay open.
 */
const waitForTurn: RequestHandler = (_req, res, next) => {
  if (res.socket) next();
  else res.once('socket', () => process.nextTick(next));
};
