import { randomBytes, randomUUID } from 'node:crypto';
import cors from 'cors';
import express, { type Request } from 'express';
import { lastEventId, openEventStream, type EventStream } from '../../server/eventStream.ts';
import { serve } from '../serve.ts';

export interface JobEvents {
  /** Percent. */
  progress: number;
  result: string;
}

interface Session {
  user: string;
  streams: Set<EventStream<JobEvents>>;
  isOver: boolean;
}

interface Job {
  user: string;
  percent: number;
  readers: Set<EventStream<JobEvents>>;
}

const port = Number(process.env['PORT'] ?? 7000);
const STEP_MS = Number(process.env['STEP_MS'] ?? 300);
const TOKEN_MS = Number(process.env['TOKEN_MS'] ?? 60_000);
const SESSION_MS = Number(process.env['SESSION_MS'] ?? 8 * 3_600_000);

const sessions = new Map<string, Session>();
const tokens = new Map<string, Session>();
const jobs = new Map<string, Job>();
const api = express();

api.use((req, _res, next) => {
  console.log(req.method, req.path); // not `req.url`: its query may hold a token
  next();
});

// Before any refusal, or else the page can't read its status. `*` is not allowed with cookies.
api.use(cors({ origin: `http://localhost:${port}`, credentials: true, methods: ['GET', 'POST', 'DELETE'] }));

// Another origin, but the same site, as app.example.com and api.example.com are. For another site the cookie
// would need `SameSite=None; Secure`, and some browsers would block it even so: use a token there.
const cookie = {
  httpOnly: true,
  sameSite: 'strict',
  secure: process.env['NODE_ENV'] === 'production',
} as const;

api.post('/session', express.json(), (req, res) => {
  // Check a password here.
  const session: Session = { user: String(req.body?.user), streams: new Set(), isOver: false };
  setTimeout(() => end(session), SESSION_MS);
  res
    .cookie('session', keep(sessions, session, SESSION_MS), { ...cookie, maxAge: SESSION_MS })
    .sendStatus(204);
});

api.get('/session', (req, res) => void res.sendStatus(sessionOf(req) ? 204 : 401));

api.delete('/session', (req, res) => {
  const session = sessionOf(req);
  if (session) end(session);
  res.clearCookie('session', cookie).sendStatus(204);
});

// A token stands in the URL, where it may be seen. So it opens streams alone, and soon expires.
api.post('/tokens', (req, res) => {
  const session = sessionOf(req);
  if (!session) return void res.sendStatus(401);
  res.json({ token: keep(tokens, session, TOKEN_MS) });
});

api.post('/jobs', (req, res) => {
  const session = sessionOf(req);
  if (!session) return void res.sendStatus(401);
  const id = randomUUID();
  const job: Job = { user: session.user, percent: 0, readers: new Set() };
  jobs.set(id, job);
  const timer = setInterval(() => {
    job.percent += 1;
    for (const stream of job.readers) tell(stream, job);
    if (job.percent === 100) clearInterval(timer);
  }, STEP_MS);
  res.status(201).json({ id });
});

api.get('/jobs/:id', (req, res) => {
  const session = sessionOf(req) ?? tokens.get(String(req.query['token']));
  if (!session || session.isOver) return void res.sendStatus(401);
  const job = jobs.get(req.params.id);
  if (job?.user !== session.user) return void res.sendStatus(404);
  openEventStream<JobEvents>(req, res, (stream) => {
    // The ID is the percent, and each message says all: whoever comes back needs the newest alone.
    if (job.percent > Number(lastEventId(req)) || job.percent === 100) tell(stream, job);
    job.readers.add(stream);
    session.streams.add(stream);
    return () => {
      job.readers.delete(stream);
      session.streams.delete(stream);
    };
  });
});

function tell(stream: EventStream<JobEvents>, { percent }: Job): void {
  stream.send({ event: 'progress', id: percent, data: percent });
  if (percent < 100) return;
  stream.send({ event: 'result', data: 'All done.' });
  stream.finish();
}

/** Ends a session with its streams: their clients come back at once, and get 401. */
function end(session: Session): void {
  session.isOver = true;
  for (const stream of session.streams) stream.reconnectAfter(0);
}

/** Keeps a session under a new secret for this time. */
function keep(map: Map<string, Session>, session: Session, ms: number): string {
  const secret = randomBytes(32).toString('base64url');
  map.set(secret, session);
  setTimeout(() => map.delete(secret), ms);
  return secret;
}

function sessionOf({ headers }: Request): Session | undefined {
  const [, secret = ''] = /(?:^|; )session=([^;]+)/.exec(headers.cookie ?? '') ?? [];
  const session = sessions.get(secret);
  return session?.isOver ? undefined : session;
}

api.listen(port + 1);
serve(express(), import.meta.dirname, port);
