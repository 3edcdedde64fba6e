import type { IncomingMessage, RequestListener } from 'node:http';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { parse, subscribe, type EventData, type Handlers, type Status } from '../../client/subscribe.ts';
import { lastEventId, openEventStream } from '../../server/eventStream.ts';
import { bundle } from '../../test/support/bundle.ts';
import { answer, inTurn } from '../../test/support/answers.ts';
import { startExample } from '../../test/support/examples.ts';
import { startRelay, type Relay } from '../../test/support/relay.ts';
import { eventually, listen } from '../../test/support/testServer.ts';
import type { AnswerEvents } from '../chat/server.ts';
import { overFetch } from './overFetch.ts';

type Send = Parameters<typeof overFetch>[0];

/** 5000 and 24 make the two minutes of a real day. */
const TOKEN_LIFE_MS = Number(process.env['TOKEN_LIFE_MS'] ?? 100);
const EXPIRIES = 24;
const CUT = { share: 0.5, ending: 'RST' } as const;
const SILENCE = { share: 0.5, ending: 'silence' } as const;

// No backoff, so that the tests need no time for it.
beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0).mockName('no backoff'));

/** Counts from the client's last event ID on. */
const count: RequestListener = (req, res) => {
  let n = Number(lastEventId({ headers: req.headers, url: req.url ?? '' }));
  openEventStream(req, res, (stream) => {
    const timer = setInterval(() => stream.send({ id: (n += 1), data: n }), TOKEN_LIFE_MS / 10);
    return () => clearInterval(timer);
  });
};

/** Subscribes with this `send`, and keeps what comes. */
function follow<E extends EventData<E> = { message: string }>(
  url: string,
  send: Send,
  handlers?: Handlers<E>,
  staleAfterMs = 40_000,
): { statuses: Status[]; numbers: number[] } {
  const [statuses, numbers]: [Status[], number[]] = [[], []];
  const message = ({ data }: MessageEvent<string>): number => numbers.push(Number(data));
  const onStatus = (status: Status): number => statuses.push(status);
  const options = { EventSource: overFetch(send), onStatus, staleAfterMs };
  onTestFinished(subscribe(url, (handlers ?? { message }) as Handlers, options).close);
  return { statuses, numbers };
}

/** A server that gives these answers in turn, the last of them again and again, and keeps the requests. */
async function serve(...answers: RequestListener[]): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const { port } = await listen(inTurn(answers, requests));
  return { url: `http://127.0.0.1:${port}/`, requests };
}

const get = (url: string, signal: AbortSignal, token = 'a'): Promise<Response> =>
  fetch(url, { signal, headers: { Authorization: `Bearer ${token}` } });

test(`${EXPIRIES} tokens expire one after the other, and nothing is lost`, async () => {
  const fresh = new Set<string>();
  let issued = 0;
  let refused = 0;
  const { port } = await listen((req, res) => {
    if (req.url === '/token') {
      fresh.add(`Bearer ${(issued += 1)}`);
      return void res.end(`${issued}`);
    }
    if (req.method !== 'GET' || !fresh.delete(req.headers.authorization ?? '')) {
      refused += 1;
      return void res.writeHead(401).end();
    }
    const timer = setTimeout(() => res.destroy(), TOKEN_LIFE_MS);
    res.on('close', () => clearTimeout(timer));
    count(req, res);
  });
  const url = `http://127.0.0.1:${port}`;
  const { numbers } = follow(url, async (address, signal) =>
    get(address, signal, await (await fetch(`${url}/token`, { signal })).text()),
  );
  await vi.waitUntil(() => issued > EXPIRIES, { timeout: 150_000 });
  const { length } = numbers;
  await eventually(() => numbers.length > length + EXPIRIES);
  expect(numbers).toEqual(Array.from(numbers, (_, i) => i + 1));
  expect(refused).toBe(0);
});

test('whatever stands before the stream is told, and waited for', async () => {
  const { url, requests } = await serve(
    (req) => req.socket.destroy(),
    answer(503, { 'Retry-After': '1' }),
    answer(302, { Location: '/sign-in' }),
    answer(200, { 'Content-Type': 'text/html' }),
    answer(500, { 'Content-Type': 'text/event-stream' }),
    count,
  );
  const times: number[] = [];
  const { statuses, numbers } = follow(url, (address, signal) => {
    if (times.push(Date.now()) === 1) throw new Error('no token');
    return get(address, signal);
  });
  await eventually(() => numbers.length > 2);
  const told = statuses.flatMap((one) => (one.state === 'reconnecting' && one.dueAt ? [one.status] : []));
  expect(told).toEqual([undefined, undefined, 503, 200, 500]);
  expect((times[3] ?? 0) - (times[2] ?? 0)).toBeGreaterThanOrEqual(1000);
  expect(requests.every(({ method }) => method === 'GET')).toBe(true); // no HEAD, which has no token
});

test.each([
  ['is not seen by the subscription if a refresh helps', count, { state: 'open' }],
  ['after a refresh closes it', answer(401), { state: 'closed', status: 401 }],
])('a 401 %s', async (_what, next, last) => {
  const { url, requests } = await serve(answer(401), next);
  const { statuses } = follow(url, async (address, signal) => {
    const response = await get(address, signal, 'old');
    return response.status === 401 ? get(address, signal, 'new') : response;
  });
  await eventually(() => statuses.length > 1);
  expect(statuses).toEqual([{ state: 'connecting' }, last]);
  expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new']);
});

test('what is closed is silent, and its connection ends; so does that of a refusal', async () => {
  let closed = 0;
  const begin =
    (status: number, text: string): RequestListener =>
    (_req, res) => {
      res.on('close', () => (closed += 1)).writeHead(status, { 'Content-Type': 'text/event-stream' });
      res.write(text);
    };
  const { url } = await serve(begin(502, 'a body without an end'), begin(200, 'data: 1\n\ndata: 2\n\n'));
  const received: string[] = [];
  const listenTo = (send: Send): InstanceType<ReturnType<typeof overFetch>> => {
    const source = new (overFetch(send))(url, { withCredentials: false });
    for (const type of ['open', 'error', 'message'])
      source.addEventListener(type, (event) => received.push(`${event.type} ${source.readyState}`));
    return source;
  };
  listenTo(get);
  await eventually(() => closed === 1);

  let late: Promise<Response> | undefined;
  listenTo((address) => (late = fetch(address))).close(); // without the signal
  await eventually(() => late);
  await late;
  const source = listenTo(get);
  source.addEventListener('message', () => source.close());
  await eventually(() => closed === 2);
  expect(received).toEqual(['error 2', 'open 1', 'message 1']);
  expect(source.readyState).toBe(2);
});

test('text is UTF-8 across chunks, and the last event ID stays until another comes', async () => {
  const bytes = Buffer.from('id: é\nevent: note\ndata: 1\n\ndata: €\n\n');
  const received: unknown[] = [];
  const { url } = await serve((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'Text/Event-Stream; charset=utf-8' }).write(bytes.subarray(0, -4));
    void eventually(() => received.length === 1).then(() => res.write(bytes.subarray(-4))); // the rest of €
  });
  const keep = (message: MessageEvent<string>): unknown =>
    received.push([message.type, message.data, message.lastEventId]);
  follow(url, get, { note: keep, message: keep });
  await eventually(() => received.length === 2);
  expect(received).toEqual([
    ['note', '1', 'é'],
    ['message', '€', 'é'],
  ]);
});

test.each<[string, string, Record<number, Relay['cut']>]>([
  ['arrives whole and in order through a cut and a silence', 'complete', { 10: CUT, 20: SILENCE }],
  ['is stopped', 'stopped', {}],
])('the chat, asked by POST with a bearer token, %s', async (_what, ending, cuts) => {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${'b'.repeat(22)}` };
  const server = await startExample('chat', { TOKEN_MS: '20' });
  const relay = await startRelay(server.port, 'network');
  const url = `http://127.0.0.1:${relay.port}/chats/asked-by-bearer-token`;
  const [ids, tokens, ends]: [(string | null)[], string[], string[]] = [[], [], []];
  const send: Send = (address, signal) => {
    relay.cut = undefined;
    ids.push(new URL(address).searchParams.get('lastEventId'));
    return fetch(address, { method: 'POST', signal, headers, body: JSON.stringify({ prompt: 'Hello' }) });
  };
  const handlers: Handlers<AnswerEvents> = {
    question: () => {},
    token({ data }) {
      tokens.push(parse(data));
      relay.cut ??= cuts[tokens.length];
      if (ending === 'stopped' && tokens.length === 10) void fetch(url, { method: 'DELETE', headers });
    },
    tool: () => {},
    ended: ({ data }) => ends.push(data),
    reset: () => tokens.splice(0),
  };
  const { statuses } = follow(url, send, handlers, 3000);
  await eventually(() => statuses.at(-1)?.state === 'closed');
  expect(ends).toEqual([ending]);
  expect(ids).toEqual([null, ...Object.keys(cuts).map(() => expect.stringMatching(/./))]);
  if (ending === 'complete') expect(tokens.join('')).toMatch(/^You said:\n“Hello”\n[^]*and all of it\.$/);
  expect(tokens.length > 39).toBe(ending === 'complete');
});

test('adds less than 10 kB to a page, the parser included', async () => {
  const code = await bundle(join(import.meta.dirname, 'overFetch.ts'));
  expect(code.length).toBeLessThan(10_000);
});
