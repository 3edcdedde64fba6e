import { sep } from 'node:path';
import compression from 'compression';
import express, { type RequestHandler, Router } from 'express';
import helmet from 'helmet';

const SELF = ["'self'"];
const NONE = ["'none'"];
const LOADS = { defaultSrc: NONE, scriptSrc: SELF, styleSrc: SELF, imgSrc: SELF, connectSrc: SELF };
const POLICY = { ...LOADS, baseUri: NONE, formAction: NONE, frameAncestors: NONE };

/** Serves the built page of `folder`, compressed, under a strict Content-Security-Policy. */
export function servePage(folder: string): Router {
  return Router().use(
    waitForTurn,
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: POLICY },
      strictTransportSecurity: false, // up to the proxy that holds the certificate
    }),
    compression(),
    express.static(folder, {
      setHeaders(res, path) {
        // Vite puts a hash of the content into the name of all that it writes to assets/.
        const hashed = path.includes(`${sep}assets${sep}`);
        res.setHeader('Cache-Control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    }),
  );
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
