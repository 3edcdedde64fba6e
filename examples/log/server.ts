import express from 'express';
import { lastEventId, openEventStream, type Message } from '../../server/eventStream.ts';
import { refuse, reportError, serve, setting } from '../serve.ts';
import { openStore } from '../store/store.ts';

export interface LogEvents {
  entry: string;
  /** The exit code, as the last event. */
  exit: number;
  /** Some lines were missed. All that are kept follow. */
  reset: '';
}

/** The longest line, in characters: a page of lines is in memory for each client that reads slowly. */
const MAX_LINE_LENGTH = 2000;
const DOWN = 'store: expected a connection, found none, retry';

const store = await openStore({ maxLength: setting('MAX_LENGTH', 10_000) });
export const app = express();

app.param('name', (_req, res, next, name) => {
  if (!/^[\w-]{1,64}$/.test(name)) refuse(res, 404);
  else if (!store.isReady()) refuse(res, 503, DOWN);
  else next();
});

app.get('/logs/:name', (req, res) => {
  openEventStream<LogEvents>(req, res, async (stream) => {
    try {
      for await (const entry of store.follow(`log:${req.params.name}`, lastEventId(req), stream.signal)) {
        stream.send(entry as Message<LogEvents>);
        if (entry.event === 'exit') return; // the end of the stream
        await stream.ready();
      }
    } catch (error) {
      if (store.isReady()) console.error(error); // or else it has told why
      // The client comes back, and gets 503 while the store has no connection.
      stream.reconnectAfter(Math.random() * 1000);
    }
  });
});

app.post('/logs/:name', express.json({ limit: '16kb' }), async (req, res) => {
  const { line, exit }: { line?: unknown; exit?: unknown } = req.body ?? {};
  const isExit = Number.isInteger(exit);
  if (!isExit && (typeof line !== 'string' || line === ''))
    return refuse(res, 400, 'line: expected text, or a whole number as exit, found neither');
  const text = String(isExit ? exit : line);
  if (text.length > MAX_LINE_LENGTH)
    return refuse(res, 413, `line: expected at most ${MAX_LINE_LENGTH} characters, found ${text.length}`);
  const topic = `log:${req.params.name}`;
  try {
    if (await store.has(`${topic}:ended`))
      return refuse(res, 409, 'log: expected one that goes on, found its end');
    await store.append(topic, text, isExit ? 'exit' : 'entry');
    if (isExit) await store.append(`${topic}:ended`, '');
    res.sendStatus(204);
  } catch (error) {
    if (store.isReady()) throw error;
    refuse(res, 503, DOWN);
  }
});

app.use(reportError);
serve(app, import.meta);
