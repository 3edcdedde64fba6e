import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import express, { type NextFunction, type Request, type Response } from 'express';
import { json, lastEventId, openEventStream, type Json, type Message } from '../../server/eventStream.ts';
import { refuse, reportError, serve, setting } from '../serve.ts';
import { openStore, type Reader } from '../store/store.ts';
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
const COOKIE = {
  httpOnly: true,
  sameSite: 'strict',
  secure: process.env['NODE_ENV'] === 'production',
  maxAge: 365 * 24 * 3_600_000,
} as const;
const DOWN = 'store: expected a connection, found none, retry';

const store = await openStore({ maxLength: 20_000, keptMs: KEPT_MS });
/** The topics of the answers that this server runs. */
const running = new Set<string>();
export const app = express();

// The client makes the ID. So a question that is asked again, after a lost answer or by a double click, is the
// same question, and a load balancer may choose any server.
app.param('id', (_req, res, next, id) => {
  if (!ID.test(id)) refuse(res, 404);
  else if (!store.isReady()) refuse(res, 503, DOWN);
  else next();
});

app.put('/chats/:id', express.json({ limit: '32kb' }), ask, (_req, res) => void res.sendStatus(201));

// For clients that read the answer from the response to their POST: see streamFromPost.ts.
app.post('/chats/:id', express.json({ limit: '32kb' }), ask, streamAnswer);

app.get('/chats/:id', streamAnswer);

app.delete('/chats/:id', async (req, res) => {
  await stop(topicOf(req));
  res.sendStatus(204);
});

/** Starts an answer, unless it was started before. A new question stops the answer before it. */
async function ask(req: Request, res: Response, next: NextFunction): Promise<void> {
  const { prompt, after }: { prompt?: unknown; after?: unknown } = req.body ?? {};
  if (typeof prompt !== 'string' || prompt === '' || prompt.length > MAX_PROMPT_LENGTH)
    return refuse(res, 400, `prompt: expected 1 to ${MAX_PROMPT_LENGTH} characters of text`);
  const visitor = visitorOf(req) || randomBytes(16).toString('base64url');
  req.headers.cookie = `visitor=${visitor}`; // for the handlers after this one
  res.cookie('visitor', visitor, COOKIE);
  const topic = topicOf(req);
  if (await store.has(topic)) return next();

  const before = ID.test(String(after)) ? String(after) : '';
  await stop(topicOf(req, before));
  const own = [...running].filter((name) => name.startsWith(topicOf(req, '')));
  if (own.length >= MAX_RUNNING_PER_VISITOR)
    return refuse(res, 429, 'answers: expected fewer at a time, retry');
  if (running.size >= MAX_RUNNING) return refuse(res, 503, 'answers: the server is busy, retry');
  const isNew = await store.create(topic, json({ prompt, after: before }), 'question');
  if (isNew) void run(topic, prompt, () => turnsUpTo(req, before));
  next();
}

async function streamAnswer(req: Request, res: Response): Promise<void> {
  const topic = topicOf(req);
  if (!(await store.has(topic))) return refuse(res, 404, 'chat: expected one that is kept, found none');
  openEventStream<AnswerEvents>(req, res, async (stream) => {
    let heardAt = Date.now();
    const say = (): void => {
      const isDead = Date.now() - heardAt > 3 * ALIVE_MS;
      void store.append(topic, isDead ? 'failed' : '', isDead ? 'ended' : READ).catch(() => {});
    };
    const timer = setInterval(say, ALIVE_MS);
    say();
    const reader: Reader = {
      signal: stream.signal,
      ready: () => stream.ready(),
      send(message) {
        if (message.event === READ) return;
        heardAt = Date.now();
        if (message.event === ALIVE) return;
        // Without an ID: a client that is cut right after it comes back for it.
        if (message.event === 'ended') delete message.id;
        stream.send(message as Message<AnswerEvents>);
        if (message.event === 'ended') stream.finish();
      },
    };
    // The store has reported why. The client comes back, and gets 503 until there is a connection.
    const comeBack = (): void => stream.reconnectAfter(Math.random() * 1000);
    await store.follow(reader, topic, lastEventId(req)).catch(comeBack);
    clearInterval(timer);
  });
}

/** Runs the model to its end, whether or not somebody reads along at the moment. */
async function run(topic: string, prompt: string, earlier: () => Promise<Turn[]>): Promise<void> {
  running.add(topic);
  const ending = new AbortController();
  let readAt = Date.now();
  const timer = setInterval(() => {
    const isUnread = Date.now() - readAt > GRACE_MS;
    void store.append(topic, isUnread ? 'unread' : '', isUnread ? 'ended' : ALIVE).catch(() => {});
  }, ALIVE_MS);
  // It follows its own answer, and so learns of readers and of Stop, whichever server they have reached.
  const follower = follow(topic, ending, ({ event }) => {
    if (event === READ) readAt = Date.now();
  });
  follower.catch(() => ending.abort());
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
      await store.append(topic, 'failed', 'ended').catch(() => {});
    }
  } finally {
    clearInterval(timer);
    ending.abort();
    running.delete(topic);
  }
}

/** Whichever server runs the answer follows it, and finds its end. */
async function stop(topic: string): Promise<void> {
  if (await store.has(topic)) await store.append(topic, 'stopped', 'ended');
}

/** Reads an answer until it has ended, or somebody else has aborted. */
function follow(topic: string, ending: AbortController, take: Reader['send']): Promise<void> {
  const send: Reader['send'] = (message) => {
    if (message.event === 'ended') ending.abort();
    if (!ending.signal.aborted) take(message);
  };
  return store.follow({ signal: ending.signal, ready: () => setImmediate(), send }, topic, '');
}

/** The conversation up to this answer, the newest turns of it. All of them have ended: see `ask`. */
async function turnsUpTo(req: Request, last: string): Promise<Turn[]> {
  const turns: Turn[] = [];
  let id = last;
  while (id !== '' && turns.length < MAX_EARLIER && (await store.has(topicOf(req, id)))) {
    const turn = { prompt: '', answer: '', after: '' };
    await follow(topicOf(req, id), new AbortController(), ({ event, data }) => {
      if (event === 'question') Object.assign(turn, JSON.parse(String(data)));
      if (event === 'token') turn.answer += JSON.parse(String(data));
    });
    turns.unshift(turn);
    id = turn.after;
  }
  return turns;
}

/** Who asks, by bearer token or by cookie. A visitor reads only answers of their own. */
function visitorOf({ headers }: Request): string {
  const bearer = /^Bearer ([\w-]{22})$/.exec(headers.authorization ?? '');
  return (bearer ?? /(?:^|; )visitor=([\w-]{22})/.exec(headers.cookie ?? ''))?.[1] ?? '';
}

function topicOf(req: Request, id = String(req.params['id'])): string {
  return `chat:${visitorOf(req)}:${id}`;
}

app.use(reportError);
serve(app, import.meta);
