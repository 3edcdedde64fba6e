import { randomBytes } from 'node:crypto';
import express, { type NextFunction, type Request, type Response } from 'express';
import { json, lastEventId, openEventStream, type Json, type Message } from '../../server/eventStream.ts';
import { refuse, reportError, serve, setting } from '../serve.ts';
import { openStore } from '../store/store.ts';
import { model, type Turn } from './model.ts';

export interface AnswerEvents {
  /** The first event: what was asked, and the ID of the answer before this one, if there is one. */
  question: Json<{ prompt: string; after: string }>;
  /** JSON, because tokens begin and end with spaces and line ends. */
  token: Json<string>;
  tool: Json<{ tool: string; result: string }>;
  /** How the answer ended: by itself, by the visitor, because nobody read it, or by an error. */
  ended: 'complete' | 'stopped' | 'unread' | 'failed';
  /** The server has lost a part. All that it has follows. */
  reset: '';
}

/** The model is stopped when nobody has read for this time. It exceeds the client's longest backoff, 30 s. */
const GRACE_MS = setting('GRACE_MS', 60_000);
/** An answer is kept for this time after its last event. */
const KEPT_MS = setting('KEPT_MS', 3_600_000);
/** A server that runs an answer says so this often, and so does one that streams it. After three times: dead. */
const ALIVE_MS = setting('ALIVE_MS', 5000);
const MAX_PROMPT_LENGTH = 4000;
const MAX_RUNNING = setting('MAX_RUNNING', 200);
const MAX_RUNNING_PER_VISITOR = 3;
/** Turns that the model is told of. */
const MAX_EARLIER = 20;

// Entries that only servers read.
const ALIVE = 'alive';
const READ = 'read';
const ID = /^[\w-]{16,64}$/;
const secure = process.env['NODE_ENV'] === 'production';
const COOKIE = { httpOnly: true, sameSite: 'strict', secure, maxAge: 365 * 24 * 3_600_000 } as const;

const store = await openStore({ maxLength: 20_000, keptMs: KEPT_MS });
/** The topics of the answers that this server runs. */
const running = new Set<string>();
export const app = express();

// The page itself brings a new visitor's cookie, so that two first questions at once are by the same visitor. A
// real app checks the token here, and takes the user from it.
app.use((req, res, next) => {
  const { authorization, cookie } = req.headers;
  const secret = authorization ?? /(?:^|; )visitor=([^;]+)/.exec(cookie ?? '')?.[1];
  const visitor = /^(?:Bearer )?([\w-]{22})$/.exec(secret ?? '')?.[1];
  if (authorization !== undefined && !visitor)
    return refuse(res, 401, 'Authorization: expected a Bearer token of 22 characters');
  res.locals['visitor'] = visitor ?? randomBytes(16).toString('base64url');
  if (!visitor) res.cookie('visitor', res.locals['visitor'], COOKIE);
  next();
});

// The client makes the ID. So a question that is asked again, after a lost answer or by a double click, is the
// same question, and a load balancer may choose any server.
app.param('id', (_req, res, next, id) => {
  if (!ID.test(id)) refuse(res, 404);
  else if (!store.isReady()) refuse(res, 503, 'store: expected a connection, found none, retry');
  else next();
});

app.put('/chats/:id', express.json({ limit: '32kb' }), ask, (_req, res) => void res.sendStatus(201));

// For clients that read the answer from the response to their POST: see ../headers/overFetch.ts.
app.post('/chats/:id', express.json({ limit: '32kb' }), ask, streamAnswer);

app.get('/chats/:id', streamAnswer);

app.delete('/chats/:id', async (_req, res) => {
  await stop(topicOf(res));
  res.sendStatus(204);
});

/** Starts an answer, unless it was started before. A new question stops the answer before it. */
async function ask(req: Request, res: Response, next: NextFunction): Promise<void> {
  const { prompt, after }: { prompt?: unknown; after?: unknown } = req.body ?? {};
  if (typeof prompt !== 'string' || prompt === '' || prompt.length > MAX_PROMPT_LENGTH)
    return refuse(res, 400, `prompt: expected 1 to ${MAX_PROMPT_LENGTH} characters of text`);
  const topic = topicOf(res);
  if (await store.has(topic)) return next();

  const before = typeof after === 'string' && ID.test(after) && after !== req.params['id'] ? after : '';
  await stop(topicOf(res, before));
  if (running.has(topic)) return next(); // the same question, asked a moment ago
  const own = [...running].filter((name) => name.startsWith(topicOf(res, '')));
  if (own.length >= MAX_RUNNING_PER_VISITOR)
    return refuse(res, 429, 'answers: expected fewer at a time, retry');
  if (running.size >= MAX_RUNNING) return refuse(res, 503, 'answers: the server is busy, retry');
  running.add(topic); // before the next await, or any number at once would pass
  let isNew = false;
  try {
    isNew = await store.append(topic, json({ prompt, after: before }), 'question', true);
  } finally {
    if (!isNew) running.delete(topic);
  }
  if (isNew) void run(topic, prompt, () => turnsUpTo(res, before));
  next();
}

async function streamAnswer(req: Request, res: Response): Promise<void> {
  const topic = topicOf(res);
  if (!(await store.has(topic))) return refuse(res, 404, 'chat: expected one that is kept, found none');
  openEventStream<AnswerEvents>(req, res, async (stream) => {
    const { heard, said, leave } = attend(topic, READ, 3 * ALIVE_MS, 'failed');
    try {
      for await (const { id, event, data } of store.follow(topic, lastEventId(req), stream.signal)) {
        (event === READ ? said : heard)();
        if (event === READ || event === ALIVE) continue;
        // The end has no ID: a client that is cut right after it comes back for it.
        stream.send({ event, data, id: event === 'ended' ? undefined : id } as Message<AnswerEvents>);
        if (event === 'ended') return;
        await stream.ready();
      }
    } catch (error) {
      if (store.isReady()) console.error(error); // or else it has told why
      // The client comes back, and gets 503 while the store has no connection.
      stream.reconnectAfter(Math.random() * 1000);
    } finally {
      leave();
    }
  });
}

/** Runs the model to its end, whether or not somebody reads along at the moment. */
async function run(topic: string, prompt: string, earlier: () => Promise<Turn[]>): Promise<void> {
  const ending = new AbortController();
  const { heard, leave } = attend(topic, ALIVE, GRACE_MS, 'unread');
  watch().catch(() => ending.abort());
  try {
    for await (const part of model(prompt, await earlier(), ending.signal)) {
      if ('token' in part) await store.append(topic, json(part.token), 'token');
      else await store.append(topic, json(part), 'tool');
    }
    await store.append(topic, 'complete', 'ended');
  } catch (error) {
    // After Stop, the model throws. Without the store, the answer's readers find it dead.
    if (!ending.signal.aborted) {
      console.error(error);
      await stop(topic, 'failed').catch(() => {});
    }
  } finally {
    leave();
    ending.abort();
    running.delete(topic);
  }

  /** Follows its own answer, and so learns of readers and of Stop, whichever server they have reached. */
  async function watch(): Promise<void> {
    for await (const { event } of store.follow(topic, '', ending.signal)) {
      if (event === READ) heard();
      if (event === 'ended') ending.abort();
    }
  }
}

/**
 * Says every `ALIVE_MS` that one side of an answer is there, unless another has just `said` so for it: many readers
 * would wake each other. After `patienceMs` in which the other side was not `heard`, ends the answer.
 */
function attend(
  topic: string,
  event: typeof ALIVE | typeof READ,
  patienceMs: number,
  ending: AnswerEvents['ended'],
): Record<'heard' | 'said' | 'leave', () => void> {
  let [silentMs, isSaid] = [0, false];
  const say = (): void => {
    if (silentMs > patienceMs) void stop(topic, ending).catch(() => {});
    else if (!isSaid) void store.append(topic, '', event).catch(() => {});
    silentMs += ALIVE_MS; // no clock: a server that was busy has yet to hear what was said meanwhile
    isSaid = false;
  };
  say();
  const timer = setInterval(say, ALIVE_MS);
  return { heard: () => (silentMs = 0), said: () => (isSaid = true), leave: () => clearInterval(timer) };
}

/** Whichever server runs the answer follows it, and finds its end. */
async function stop(topic: string, ending: AnswerEvents['ended'] = 'stopped'): Promise<void> {
  if (await store.has(topic)) await store.append(topic, ending, 'ended');
}

/** The conversation up to this answer, the newest turns of it. All of them have ended: see `ask`. */
async function turnsUpTo(res: Response, last: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let id = last;
  while (id !== '' && turns.length < MAX_EARLIER && (await store.has(topicOf(res, id)))) {
    const turn = { prompt: '', answer: '', after: '' };
    for await (const { event, data } of store.follow(topicOf(res, id), '')) {
      if (event === 'question') Object.assign(turn, JSON.parse(data));
      if (event === 'token') turn.answer += JSON.parse(data);
      if (event === 'ended') break;
    }
    turns.unshift(turn);
    id = turn.after;
  }
  return turns;
}

/** A visitor reads only answers of their own. */
function topicOf({ locals, req }: Response, id = String(req.params['id'])): string {
  return `chat:${locals['visitor']}:${id}`;
}

app.use(reportError);
serve(app, import.meta);
