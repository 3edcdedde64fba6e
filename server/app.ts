import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type Response } from 'express';
import { count } from './count.ts';
import { type EventStream, lastEventId, openEventStream } from './eventStream.ts';
import { servePage } from './page.ts';

/** A draining server spreads its clients' reconnects over this time. */
export const DRAIN_WINDOW_MS = 3000;

/** Where numbers are slower than this, heartbeats are sent in between, because client/App.tsx waits 10 s. */
const HEARTBEAT_MS = 5000;

/** The largest last event ID. From 2^53 on, numbers lose precision. */
const MAX_LAST_EVENT_ID = 2 ** 52;

/** Headers of answers that are no stream. */
const NO_STREAM = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export interface AppOptions {
  /** Streams that may be open at a time. Default 10,000. */
  maxConnections?: number;
  /** Origins whose pages may read the stream. Default `*`, all of them. */
  corsOrigin?: string | string[];
  /** Milliseconds from one number to the next. Default 1000. */
  tickMs?: number;
  /** The folder of the built page. Default: no page is served. */
  pageFolder?: string;
}

/** What `createApp` builds. */
export interface CounterApp {
  app: Express;
  /** Refuses more streams, and asks clients of open ones to reconnect at random times within `withinMs`. */
  drain(withinMs?: number): void;
}

/** Builds the routes; listening is up to the caller. */
export function createApp(options: AppOptions = {}): CounterApp {
  const { maxConnections = 10_000, corsOrigin = '*', tickMs = 1000, pageFolder } = options;
  const streams = new Set<EventStream>();
  let draining = false;
  let windowMs = DRAIN_WINDOW_MS;
  const askToReconnect = (stream: EventStream): void => stream.reconnectAfter(Math.random() * windowMs);

  const app = express();
  app.disable('x-powered-by');

  app.get('/health', (_req, res) => {
    const status = draining ? 'draining' : 'ok';
    res
      .status(draining ? 503 : 200)
      .set(NO_STREAM)
      .json({ status, connections: streams.size });
  });

  const route = app.route('/count');
  route.all(cors({ origin: corsOrigin, methods: ['GET', 'HEAD'] }));
  route.get((req, res) => {
    if (!req.accepts('text/event-stream')) {
      res.vary('Accept');
      return refuse(res, 406, `Accept: expected text/event-stream, found ${quote(req.get('Accept'))}`);
    }
    const id = lastEventId(req);
    if (!/^\d{0,16}$/.test(id) || Number(id) > MAX_LAST_EVENT_ID) {
      const expected = `expected a whole number from 0 to ${MAX_LAST_EVENT_ID}`;
      return refuse(res, 400, `last event ID: ${expected}, found ${quote(id)}`);
    }
    if (draining || streams.size >= maxConnections) {
      res.set({ 'Retry-After': '1', 'Access-Control-Expose-Headers': 'Retry-After' });
      const line = draining
        ? 'server is shutting down, retry'
        : `all ${maxConnections} connections are taken, retry`;
      return refuse(res, 503, line);
    }
    req.next = undefined; // it would keep Express's chain of handlers in memory: 0.9 kB a stream
    openEventStream(req, res, startCounter, { heartbeatMs: HEARTBEAT_MS });

    function startCounter(stream: EventStream): () => void {
      const stop = count(Number(id) + 1, tickMs, (n) => stream.send({ id: n, data: n }));
      streams.add(stream);
      // A pipelined request may have waited for its turn.
      if (draining || streams.size > maxConnections) askToReconnect(stream);
      return () => {
        stop();
        streams.delete(stream);
      };
    }
  });
  route.all((req, res) => {
    res.set('Allow', 'GET, HEAD');
    refuse(res, 405, `method: expected GET or HEAD, found ${quote(req.method)}`);
  });

  if (pageFolder !== undefined) {
    app.use(servePage(pageFolder));
    app.use((req, res) => refuse(res, 404, `path: expected /, /count or /health, found ${quote(req.path)}`));
  }
  app.use(reportError);

  return {
    app,
    drain(withinMs = DRAIN_WINDOW_MS) {
      draining = true;
      windowMs = withinMs;
      streams.forEach(askToReconnect);
    },
  };
}

/** Answers with one line of text that says what is wrong. */
function refuse(res: Response, status: number, line: string): void {
  res.status(status).set(NO_STREAM).type('text/plain').send(`${line}\n`);
}

/** What a client sent, quoted and cut to fit a line. */
function quote(text = ''): string {
  return JSON.stringify(text.slice(0, 80));
}

/** Logs the error; the client learns the status alone. */
const reportError: ErrorRequestHandler = (error, _req, res, next) => {
  const status = Number(error?.status ?? 500);
  if (status >= 500) console.error(error);
  if (res.headersSent) return next(error);
  res.set(NO_STREAM).sendStatus(status);
};
