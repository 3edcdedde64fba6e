import type { IncomingMessage, RequestListener } from 'node:http';
import { join } from 'node:path';
import { build, type Rollup } from 'vite';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  parse,
  subscribe,
  type EventData,
  type Handlers,
  type Status,
  type SubscribeOptions,
} from '../../client/subscribe.ts';
import { lastEventId, openEventStream, type Json } from '../../server/eventStream.ts';
import { startExample } from '../../test/support/examples.ts';
import { startRelay, type Relay } from '../../test/support/relay.ts';
import { eventually, listen } from '../../test/support/testServer.ts';
import type { AnswerEvents } from '../chat/server.ts';
import { overFetch } from './overFetch.ts';

type Send = Parameters<typeof overFetch>[0];

/** 5000 and 24 make the two minutes of a real day. */
const TOKEN_LIFE_MS = Number(process.env['TOKEN_LIFE_MS'] ?? 100);
const EXPIRIES = 24;
const TICK_MS = TOKEN_LIFE_MS / 10;

// No backoff, so that the tests need no time for it.
beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0).mockName('no backoff'));

/** Counts from the client's last event ID on. */
const count: RequestListener = (req, res) => {
  let n = Number(lastEventId(req as { headers: IncomingMessage['headers']; url: string }));
  openEventStream(req, res, (stream) => {
    const timer = setInterval(() => stream.send({ id: (n += 1), data: n }), TICK_MS);
    return () => clearInterval(timer);
  });
};

const refuse =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_req, res) =>
    void res.writeHead(status, headers).end();

const signIn: RequestListener = (_req, res) =>
  void res.writeHead(200, { 'Content-Type': 'text/html' }).end('<form>');

/** Subscribes with this `send`, and keeps what comes. */
function follow<E extends EventData<E> = { message: string }>(
  url: string,
  send: Send,
  handlers?: Handlers<E>,
): { statuses: Status[]; numbers: number[] } {
  const [statuses, numbers]: [Status[], number[]] = [[], []];
  const options: SubscribeOptions = {
    EventSource: overFetch(send),
    onStatus: (status) => statuses.push(status),
  };
  const message = { message: ({ data }: MessageEvent<string>) => numbers.push(Number(data)) };
  const subscription = subscribe(url, (handlers ?? message) as Handlers, options);
  onTestFinished(subscription.close);
  return { statuses, numbers };
}

/** A server that gives these answers in turn, the last of them again and again, and keeps the requests. */
async function inTurn(...answers: RequestListener[]): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const { port } = await listen((req, res) => {
    requests.push(req);
    answers[Math.min(requests.length, answers.length) - 1]?.(req, res);
  });
  return { url: `http://127.0.0.1:${port}/`, requests };
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);
const authorizations = (requests: IncomingMessage[]): unknown[] =>
  requests.map(({ headers }) => headers.authorization);
const get = (url: string, signal: AbortSignal, token = 'a'): Promise<Response> =>
  fetch(url, { signal, headers: { Authorization: `Bearer ${token}` } });

/** Gets a new token when the server refuses the one that it has, once for each attempt. */
function refreshing(): Send {
  let token = 'old';
  return async (url, signal) => {
    const response = await get(url, signal, token);
    if (response.status !== 401) return response;
    token = 'new';
    return get(url, signal, token);
  };
}

test(`${EXPIRIES} tokens expire one after the other, and nothing is lost`, async () => {
  const endOf = new Map<string, number>();
  let refused = 0;
  const { port } = await listen((req, res) => {
    if (req.url === '/token') {
      const token = `${endOf.size}`;
      endOf.set(token, Date.now() + TOKEN_LIFE_MS);
      return void res.end(token);
    }
    const restMs = (endOf.get(req.headers.authorization?.slice('Bearer '.length) ?? '') ?? 0) - Date.now();
    if (req.method !== 'GET' || restMs <= 0) {
      refused += 1;
      return void res.writeHead(401).end();
    }
    const timer = setTimeout(() => res.destroy(), restMs);
    res.on('close', () => clearTimeout(timer));
    count(req, res);
  });
  const url = `http://127.0.0.1:${port}`;
  const { numbers, statuses } = follow(url, async (address, signal) =>
    get(address, signal, await (await fetch(`${url}/token`, { signal })).text()),
  );
  await vi.waitUntil(() => endOf.size > EXPIRIES, { timeout: 150_000 });
  await eventually(() => statuses.at(-1)?.state === 'open');
  expect(numbers.length).toBeGreaterThan(EXPIRIES);
  expect(numbers).toEqual(upTo(numbers.length));
  expect(refused).toBe(0);
});

test('a 503 in front of the sign-in is waited for, and its Retry-After', async () => {
  const isSignedIn: RequestListener = (req, res) =>
    (req.headers.authorization === 'Bearer a' ? count : refuse(401))(req, res);
  const { url, requests } = await inTurn(refuse(503, { 'Retry-After': '1' }), isSignedIn);
  const askedAt = Date.now();
  const { numbers, statuses } = follow(url, get);
  await eventually(() => numbers.length > 2);
  expect(statuses[1]).toMatchObject({ state: 'reconnecting', status: 503 });
  expect(Date.now() - askedAt).toBeGreaterThanOrEqual(1000);
  expect(requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
});

describe('a 401', () => {
  test('is not seen by the subscription if a refresh helps', async () => {
    const { url, requests } = await inTurn(refuse(401), count);
    const { numbers, statuses } = follow(url, refreshing());
    await eventually(() => numbers.length > 2);
    expect(authorizations(requests)).toEqual(['Bearer old', 'Bearer new']);
    expect(statuses.map(({ state }) => state)).toEqual(['connecting', 'open']);
  });

  test('after a refresh closes it', async () => {
    const { url, requests } = await inTurn(refuse(401));
    const { statuses } = follow(url, refreshing());
    await eventually(() => statuses.length > 1);
    expect(statuses[1]).toEqual({ state: 'closed', status: 401 });
    expect(authorizations(requests)).toEqual(['Bearer old', 'Bearer new']);
  });
});

test('a redirect to a sign-in page is told, and so is an error that calls itself a stream', async () => {
  const failed = refuse(500, { 'Content-Type': 'text/event-stream' });
  const { url } = await inTurn(refuse(302, { Location: '/sign-in' }), signIn, failed, count);
  const { statuses, numbers } = follow(url, get);
  await eventually(() => numbers.length > 0);
  expect(statuses.map((status) => 'status' in status && status.status)).toEqual(
    expect.arrayContaining([200, 500]),
  );
});

test('a server that is gone, and a `send` that throws, are network failures', async () => {
  const { url, requests } = await inTurn((req) => req.socket.destroy(), count);
  let attempts = 0;
  const { statuses, numbers } = follow(url, (address, signal) => {
    if ((attempts += 1) === 1) throw new Error('no token');
    return get(address, signal);
  });
  await eventually(() => numbers.length > 0);
  expect(attempts).toBe(3);
  expect(requests).toHaveLength(2);
  for (const status of statuses) expect(status).not.toHaveProperty('status');
});

test('what is closed is silent, and its connection ends; so does that of a refusal', async () => {
  let closed = 0;
  const { url, requests } = await inTurn(
    (_req, res) =>
      res
        .on('close', () => (closed += 1))
        .writeHead(502)
        .write('a body without an end'),
    (_req, res) => {
      res.on('close', () => (closed += 1)).writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write('data: 1\n\ndata: 2\n\n');
    },
  );
  const received: string[] = [];
  const errors: Event[] = [];
  const Source = overFetch(get);
  const refused = new Source(url, { withCredentials: false });
  refused.addEventListener('error', (event) => errors.push(event));
  await eventually(() => closed === 1);
  expect(errors).toHaveLength(1);
  expect(refused.readyState).toBe(2);

  let isAnswered = false;
  const Deaf = overFetch(async (address) => {
    const response = await fetch(address); // without the signal
    isAnswered = true;
    return response;
  });
  const early = new Deaf(url, { withCredentials: false });
  const source = new Source(url, { withCredentials: false });
  for (const each of [early, source])
    for (const type of ['open', 'error', 'message'])
      each.addEventListener(type, (event) => received.push(event.type));
  early.close();
  source.addEventListener('message', () => source.close());
  await eventually(() => closed === 2 && isAnswered);
  expect(requests).toHaveLength(3);
  expect(source.readyState).toBe(2);
  expect(received).toEqual(['open', 'message']);
});

test('text is UTF-8 across chunks, and the last event ID stays until another comes', async () => {
  const bytes = Buffer.from('id: é\nevent: note\ndata: €\n\ndata: 2\n\n');
  const { url } = await inTurn((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'Text/Event-Stream; charset=utf-8' }).flushHeaders();
    for (const [n, byte] of bytes.entries()) setTimeout(() => res.write(Uint8Array.of(byte)), 2 * n);
  });
  const received: unknown[] = [];
  const keep = ({ type, data, lastEventId: id }: MessageEvent<string>): unknown =>
    received.push([type, data, id]);
  follow(url, get, { note: keep, message: keep });
  await eventually(() => received.length === 2);
  expect(received).toEqual([
    ['note', '€', 'é'],
    ['message', '2', 'é'],
  ]);
});

describe('the chat, asked by POST with a bearer token', () => {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${'b'.repeat(22)}` };

  /** Asks for an answer, through a network that `onToken` may cut, and waits for its end. */
  async function chat(
    id: string,
    onToken: (tokens: string[], relay: Relay, url: string) => unknown,
  ): Promise<{ requests: string[]; tokens: string[]; kept: string[]; ended: string }> {
    const server = await startExample('chat', { TOKEN_MS: '20' });
    const relay = await startRelay(server.port, 'network');
    const url = `http://127.0.0.1:${relay.port}/chats/${id}`;
    const requests: string[] = [];
    const tokens: string[] = [];
    let ended = '';
    const send = (address: string, signal: AbortSignal): Promise<Response> => {
      relay.cut = undefined;
      requests.push(address.slice(url.length));
      return fetch(address, { method: 'POST', signal, headers, body: JSON.stringify({ prompt: 'Hello' }) });
    };
    const { statuses } = follow<AnswerEvents>(url, send, {
      question: () => {},
      token({ data }) {
        tokens.push(parse(data));
        onToken(tokens, relay, url);
      },
      tool: () => {},
      ended: ({ data }) => (ended = data),
      reset: () => tokens.splice(0),
    });
    await eventually(() => statuses.at(-1)?.state === 'closed');
    const whole = await (await send(url, new AbortController().signal)).text();
    const kept = [...whole.matchAll(/^event: token\nid: .*\ndata: (.*)$/gm)].map(([, data = '']) =>
      parse(data as Json<string>),
    );
    return { requests, tokens, kept, ended };
  }

  test('arrives whole and in order through a cut', async () => {
    const { requests, tokens, kept, ended } = await chat('asked-by-bearer-token', ({ length }, relay) => {
      if (length === 10) relay.cut = { share: 0.5, ending: 'RST' };
    });
    expect(ended).toBe('complete');
    expect(requests.slice(0, -1)).toEqual(['', expect.stringMatching(/^\?lastEventId=./)]);
    expect(tokens.length).toBeGreaterThanOrEqual(40);
    expect(tokens).toEqual(kept);
  });

  test('is stopped', async () => {
    const { tokens, kept, ended } = await chat('stopped-by-bearer-token', ({ length }, _relay, url) => {
      if (length === 5) void fetch(url, { method: 'DELETE', headers });
    });
    expect(ended).toBe('stopped');
    expect(tokens.length).toBeLessThan(40);
    expect(tokens).toEqual(kept);
  });
});

test('adds less than 10 kB to a page, the parser included', async () => {
  const entry = join(import.meta.dirname, 'overFetch.ts');
  const lib = { entry, formats: ['es' as const] };
  const result = await build({
    configFile: false,
    logLevel: 'warn',
    build: { write: false, minify: true, lib },
  });
  const [{ output }] = result as [Rollup.RolldownOutput];
  expect(output[0].code.length).toBeLessThan(10_000);
});
