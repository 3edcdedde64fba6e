import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type Response } from 'express';
import { count } from './count.ts';
import { type EventStream, lastEventId, openEventStream } from './eventStream.ts';
import { servePage } from './page.ts';

/** A draining server spreads its clients' reconnects over this time. */
export const DRAIN_WINDOW_MS = 3000;

/** Matters when numbers are further apart: client/App.tsx reconnects after 10 s of silence. */
const HEARTBEAT_MS = 5000;

/** Headers of responses that are not streams. */
const NO_STREAM = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export interface AppOptions {
  /** The maximum number of open streams. Default 10,000. */
  maxConnections?: number;
  /** Origins whose pages may read the stream. Default `*`, all of them. */
  corsOrigin?: string | string[];
  /** Milliseconds from one number to the next, 10 or more. Default 1000. */
  tickMs?: number;
  /** The folder of the built page. Default: no page is served. */
  pageFolder?: string;
}

/** Builds the routes; listening is up to the caller. `drain` refuses new streams, and ends the open ones. */
export function createApp(options: AppOptions = {}): { app: Express; drain(): void } {
  const { maxConnections = 10_000, corsOrigin = '*', tickMs = 1000, pageFolder } = options;
  const streams = new Set<EventStream>();
  let draining = false;
  const app = express().disable('x-powered-by');

  app.get('/health', (_req, res) => {
    res.status(draining ? 503 : 200).set(NO_STREAM);
    res.json({ status: draining ? 'draining' : 'ok', connections: streams.size });
  });

  const route = app.route('/count').all(cors({ origin: corsOrigin, methods: ['GET', 'HEAD'] }));
  route.get((req, res) => {
    const id = lastEventId(req);
    const first = Number(id) + 1; // without an id, '' counts as 0
    if (!/^\d*$/.test(id) || !Number.isSafeInteger(first)) {
      const found = JSON.stringify(id.slice(0, 80));
      return refuse(res, 400, `last event ID: expected a whole number below 2^53 - 1, found ${found}`);
    }
    if (draining || streams.size >= maxConnections) {
      res.set({ 'Retry-After': '1', 'Access-Control-Expose-Headers': 'Retry-After' });
      return refuse(res, 503, `server ${draining ? 'is shutting down' : 'is full'}, retry`);
    }
    openEventStream(req, res, startCounter, { heartbeatMs: HEARTBEAT_MS });

    function startCounter(stream: EventStream): () => void {
      const stop = count(first, tickMs, (n) => stream.send({ id: n, data: n }));
      streams.add(stream);
      if (draining || streams.size > maxConnections) askToReconnect(stream); // a pipelined request starts late
      return () => {
        stop();
        streams.delete(stream);
      };
    }
  });
  route.all((req, res) =>
    refuse(res.set('Allow', 'GET, HEAD'), 405, `method: expected GET or HEAD, found "${req.method}"`),
  );

  if (pageFolder !== undefined) app.use(servePage(pageFolder));
  app.use(reportError);

  function drain(): void {
    draining = true;
    streams.forEach(askToReconnect);
  }
  return { app, drain };
}

const askToReconnect = (stream: EventStream): void => stream.reconnectAfter(Math.random() * DRAIN_WINDOW_MS);

/** Answers with one line of text that says what is wrong. */
function refuse(res: Response, status: number, line: string): void {
  res.status(status).set(NO_STREAM).type('text/plain').send(`${line}\n`);
}

/** Logs an error of the server; the client gets only the status, or a cut if it has got one already. */
const reportError: ErrorRequestHandler = (error, _req, res, _next) => {
  const status = Number(error?.status ?? 500);
  if (status >= 500) console.error(error);
  if (res.headersSent) res.destroy();
  else res.set(NO_STREAM).sendStatus(status);
};
