import { randomBytes } from 'node:crypto';
import express, { type Request } from 'express';
import { lastEventId, openEventStream, type EventStream } from '../../server/eventStream.ts';
import { refuse, reportError, serve, setting } from '../serve.ts';

export interface JobEvents {
  /** Percent. */
  progress: number;
  result: string;
}

interface Session {
  user: string;
  streams: Set<EventStream<JobEvents>>;
  endsAt: number;
}

interface Job {
  percent: number;
  readers: Set<EventStream<JobEvents>>;
  /** When it is forgotten, once it is done. */
  endsAt: number;
}

const STEP_MS = setting('STEP_MS', 300);
const SESSION_MS = setting('SESSION_MS', 8 * 3_600_000, 1e12);
/** A job that is done is kept for this time. */
const KEPT_MS = setting('KEPT_MS', 600_000, 1e12);
/** Sessions and jobs whose time is over are looked for this often: a timer can't wait longer than 24 days. */
const SWEEP_MS = setting('SWEEP_MS', 1000);
const MAX_SESSIONS = setting('MAX_SESSIONS', 10_000);
const MAX_JOBS_PER_USER = 10;
const SIGNED_OUT = 'session: expected one that is open, found none';

const sessions = new Map<string, Session>();
/** By user, and then by ID. */
const jobs = new Map<string, Map<string, Job>>();
export const app = express();

app.use((req, res, next) => {
  // Another site's form could sign a visitor in as somebody else: SameSite keeps cookies back, not requests.
  const origin = req.get('Origin');
  const isOurs = origin === undefined || (URL.canParse(origin) && new URL(origin).host === req.get('Host'));
  if (isOurs) next();
  else refuse(res, 403, 'Origin: expected this site, found another');
});

const secure = process.env['NODE_ENV'] === 'production';
const cookie = { httpOnly: true, sameSite: 'strict', secure } as const;

app.post('/session', express.json({ limit: '1kb' }), (req, res) => {
  const user: unknown = req.body?.user;
  if (typeof user !== 'string' || user.length < 1 || user.length > 100)
    return refuse(res, 400, 'user: expected a name of 1 to 100 characters');
  // Check a password here.
  end(secretOf(req)); // the session whose cookie this one replaces
  if (sessions.size >= MAX_SESSIONS) return refuse(res, 503, 'sessions: expected fewer, retry');
  const secret = randomBytes(32).toString('base64url');
  sessions.set(secret, { user, streams: new Set(), endsAt: Date.now() + SESSION_MS });
  res.cookie('session', secret, { ...cookie, maxAge: SESSION_MS }).sendStatus(204);
});

app.get('/session', (req, res) => {
  if (sessionOf(req)) res.sendStatus(204);
  else refuse(res, 401, SIGNED_OUT);
});

app.delete('/session', (req, res) => {
  end(secretOf(req));
  res.clearCookie('session', cookie).sendStatus(204);
});

// The client makes the ID, so that a double click starts one job.
app.put('/jobs/:id', (req, res) => {
  const session = sessionOf(req);
  if (!session) return refuse(res, 401, SIGNED_OUT);
  if (!/^[\w-]{16,64}$/.test(req.params.id)) return refuse(res, 404);
  const own = jobs.get(session.user) ?? new Map<string, Job>();
  if (!own.has(req.params.id)) {
    if (own.size >= MAX_JOBS_PER_USER) return refuse(res, 429, 'jobs: expected fewer a person, retry later');
    jobs.set(session.user, own.set(req.params.id, start()));
  }
  res.sendStatus(201);
});

app.get('/jobs/:id', (req, res) => {
  const session = sessionOf(req);
  if (!session) return refuse(res, 401, SIGNED_OUT);
  const job = jobs.get(session.user)?.get(req.params.id);
  if (!job) return refuse(res, 404);
  openEventStream<JobEvents>(req, res, (stream) => {
    // The ID is the percent, and each message says all: whoever comes back needs only the newest.
    if (job.percent > Number(lastEventId(req)) || job.percent === 100) tell(stream, job);
    job.readers.add(stream);
    session.streams.add(stream);
    // The session may have ended while this request waited for its turn.
    if (Date.now() >= session.endsAt) stream.reconnectAfter(0);
    return () => {
      job.readers.delete(stream);
      session.streams.delete(stream);
    };
  });
});

app.use(reportError);

function start(): Job {
  const job: Job = { percent: 0, readers: new Set(), endsAt: Infinity };
  const timer = setInterval(() => {
    job.percent += 1;
    for (const stream of job.readers) tell(stream, job);
    if (job.percent < 100) return;
    clearInterval(timer);
    job.endsAt = Date.now() + KEPT_MS;
  }, STEP_MS);
  return job;
}

function tell(stream: EventStream<JobEvents>, { percent }: Job): void {
  stream.send({ event: 'progress', id: percent, data: percent });
  if (percent < 100) return;
  stream.send({ event: 'result', data: 'All done.' });
  stream.finish();
}

/** Ends a session with its streams: their clients come back at once, and get 401. */
function end(secret: string): void {
  const session = sessions.get(secret);
  if (!session) return;
  sessions.delete(secret);
  session.endsAt = 0;
  for (const stream of session.streams) stream.reconnectAfter(0);
}

setInterval(() => {
  for (const [secret, { endsAt }] of sessions) if (Date.now() >= endsAt) end(secret);
  for (const [user, own] of jobs) {
    for (const [id, { endsAt }] of own) if (Date.now() >= endsAt) own.delete(id);
    if (own.size === 0) jobs.delete(user);
  }
}, SWEEP_MS).unref();

function secretOf({ headers }: Request): string {
  return /(?:^|; )session=([^;]+)/.exec(headers.cookie ?? '')?.[1] ?? '';
}

function sessionOf(req: Request): Session | undefined {
  const session = sessions.get(secretOf(req));
  return session && Date.now() < session.endsAt ? session : undefined;
}

serve(app, import.meta);
