import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { EventSource } from 'eventsource';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { overFetch } from '../examples/headers/overFetch.ts';
import { answer, asked, inTurn, silence, stream, streamBy } from '../test/support/answers.ts';
import { eventually, listen } from '../test/support/testServer.ts';
import {
  BACKOFF_CAP_MS,
  HEAD_TIMEOUT_MS,
  RETRY_AFTER_CAP_MS,
  STEADY_AFTER_MS,
  WATCH_INTERVAL_MS,
  subscribe,
  type Handlers,
  type Status,
  type SubscribeOptions,
  type Subscription,
} from './subscribe.ts';

// On Node, with npm's EventSource and a real server. subscribe.page.test.ts has what only a browser can show.

const HTML = { 'Content-Type': 'text/html' };
const STREAM = { 'Content-Type': 'text/event-stream' };

/** Hides the status of a refusal, as browsers do. */
class Mute extends EventSource {
  constructor(...given: ConstructorParameters<typeof EventSource>) {
    super(...given);
    sources.push(this);
  }

  override dispatchEvent(event: Event): boolean {
    return super.dispatchEvent(event.type === 'error' ? new Event('error') : event);
  }
}

/** Every EventSource that the test made. */
let sources: Mute[];
/** What the window and its document would dispatch. */
let page: EventTarget;
let visibilityState: string;

beforeEach(() => {
  sources = [];
  page = new EventTarget();
  visibilityState = 'visible';
  vi.spyOn(Math, 'random').mockReturnValue(0.1);
  for (const name of ['addEventListener', 'removeEventListener'] as const)
    vi.stubGlobal(name, page[name].bind(page));
  vi.stubGlobal('document', {
    get visibilityState() {
      return visibilityState;
    },
  });
});
afterEach(() => void vi.restoreAllMocks().unstubAllGlobals().useRealTimers());

interface Options extends SubscribeOptions {
  url?: (origin: string) => string | (() => string);
  /** Events that are handed on. */
  events?: string[];
  /** Answers HEAD. Default: as the last GET was answered. */
  head?: RequestListener;
}

/** Subscribes to a server that gives these answers to GET in turn, and the last of them again and again. */
async function open(
  answers: RequestListener[],
  { url = (origin) => `${origin}/stream`, events = ['message', 'note'], head, ...options }: Options = {},
) {
  const requests: IncomingMessage[] = [];
  const statuses: Status[] = [];
  const delays: number[] = [];
  const messages: [type: string, data: string, lastEventId: string][] = [];
  const play = inTurn(answers, requests, head);
  const { port } = await listen((req, res) => (req.url === '/settle' ? res.end() : play(req, res)));
  const origin = `http://127.0.0.1:${port}`;
  const handlers: Handlers = Object.fromEntries(
    events.map((name) => [
      name,
      ({ type, data, lastEventId }: MessageEvent<string>) => messages.push([type, data, lastEventId]),
    ]),
  );
  const subscription = subscribe(url(origin), handlers, {
    ...options,
    onStatus(status) {
      statuses.push(status);
      if ('dueAt' in status && status.dueAt !== undefined) delays.push(status.dueAt - Date.now());
      options.onStatus?.(status);
    },
  });
  onTestFinished(subscription.close);
  const is = (state: string): Promise<unknown> => eventually(() => subscription.status.state === state);
  return {
    requests,
    statuses,
    delays,
    messages,
    subscription,
    is,
    states: () => statuses.map(({ state }) => state),
    received: async (n: number) => {
      await eventually(() => messages.length >= n);
      return messages.map(([, data]) => data);
    },
    /** Cuts the newest connection, and waits until the subscription knows. */
    async cut() {
      requests.at(-1)?.socket.destroy();
      await is('reconnecting');
    },
    /** A round trip later, what has been asked for has arrived. */
    settle: () => fetch(`${origin}/settle`),
  };
}

/** Moves the clock, which stands still otherwise. */
function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

const resume = (subscription: Subscription): void => subscription.resume();

function fire(type: string): void {
  page.dispatchEvent(new Event(type));
}

function show(isVisible: boolean): void {
  visibilityState = isVisible ? 'visible' : 'hidden';
  fire('visibilitychange');
}

/** The clock goes on, and no timer has its turn. */
function sleep(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** Little more than what `subscribe` needs of an EventSource. */
const OverFetch = overFetch((url, signal) => fetch(url, { signal }));

describe('a subscription', () => {
  beforeEach(() => {
    vi.stubGlobal('EventSource', Mute);
    vi.useFakeTimers({
      now: 0,
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
  });

  describe('that is refused', () => {
    test.each([204, 400, 401, 403, 404, 410, 451])(
      'is closed by status %i, after two requests',
      async (code) => {
        const { requests, statuses, subscription, is, settle } = await open([answer(code)]);
        await is('closed');
        subscription.resume();
        fire('online');
        pass(BACKOFF_CAP_MS);
        await settle();
        expect(statuses).toEqual([
          { state: 'connecting' },
          { state: 'reconnecting', attempt: 1 },
          { state: 'closed', status: code },
        ]);
        expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream']);
        expect(requests[1]?.headers).toMatchObject({
          accept: 'text/event-stream',
          'cache-control': 'no-cache',
        });
      },
    );

    test.each([408, 425, 429, 500, 502, 503, 504])(
      'backs off after status %i, and says so, also during the next attempt',
      async (code) => {
        const { requests, delays, subscription } = await open([answer(code), silence]);
        await eventually(() => delays.length === 1);
        expect(subscription.status).toEqual({ state: 'reconnecting', attempt: 1, dueAt: 100, status: code });
        pass(100);
        await eventually(() => requests.length === 3);
        expect(subscription.status).toEqual({ state: 'reconnecting', attempt: 1, status: code });
      },
    );

    test.each([
      ['HTML', [answer(200, HTML)]],
      ['a redirect to HTML', [answer(302, { Location: '/sign-in' }), answer(200, HTML)]],
    ])('says status 200 when the answer is %s', async (_what, answers) => {
      const { delays, subscription } = await open(answers, { head: answer(200, HTML) });
      await eventually(() => delays.length === 1);
      expect(subscription.status).toMatchObject({ state: 'reconnecting', status: 200 });
    });

    test.each([
      ['405', answer(405)],
      ['501', answer(501)],
      ['200', answer(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })],
      ['a broken connection', (req) => void req.socket.destroy()],
      ['silence', silence],
    ] satisfies [string, RequestListener][])(
      'backs off when HEAD is answered with %s',
      async (what, head) => {
        const { requests, delays, subscription, received } = await open([answer(401), stream('data: a')], {
          head,
        });
        await eventually(() => requests.length === 2);
        if (what === 'silence') pass(HEAD_TIMEOUT_MS);
        await eventually(() => delays.length === 1);
        expect(subscription.status).not.toHaveProperty('status');
        pass(100);
        await received(1);
      },
    );

    test('asks for no reason once it was paused', async () => {
      const { requests, subscription, states } = await open([answer(503)], { head: silence });
      await eventually(() => requests.length === 2);
      subscription.pause();
      await eventually(() => requests[1]?.socket.destroyed);
      pass(HEAD_TIMEOUT_MS + BACKOFF_CAP_MS);
      expect(states()).toEqual(['connecting', 'reconnecting', 'paused']);
    });

    test('asks once after each attempt, and waits for a random part of a time that doubles up to the cap', async () => {
      const { requests, delays } = await open([answer(502)]);
      const expected = [100, 200, 400, 800, 1600, 3000, 3000];
      for (const [i, delay] of expected.entries()) {
        await eventually(() => delays.length > i);
        pass(delay);
      }
      expect(delays.slice(0, 7)).toEqual(expected);
      expect(requests.slice(0, 14).map(({ method }) => method)).toEqual(
        Array.from({ length: 7 }, () => ['GET', 'HEAD']).flat(),
      );
    });

    test.each([
      ['seconds', '7', 0, 7100],
      ['a date', new Date(8000).toUTCString(), 0, 8100],
      ['a date by the clock of a server that is ahead', new Date(1_205_000).toUTCString(), 1_200_000, 5100],
      ['an unreasonable time', '999999', 0, RETRY_AFTER_CAP_MS + 100],
      ['a date in the past', new Date(-1000).toUTCString(), 0, 100],
      ['nonsense', 'soon', 0, 100],
    ])('waits at least for Retry-After as %s', async (_what, value, now, delay) => {
      const headers = { 'Retry-After': value, Date: new Date(now).toUTCString() };
      const { delays } = await open([answer(503, headers)]);
      await eventually(() => delays.length === 1);
      expect(delays).toEqual([delay]);
    });

    test.each([false, true])(
      'waits for Retry-After, whatever the page does, with pauseWhenHidden %s',
      async (pauseWhenHidden) => {
        const { requests, delays, received, settle } = await open(
          [answer(503, { 'Retry-After': '600' }), stream('data: a')],
          { pauseWhenHidden },
        );
        await eventually(() => delays.length === 1);
        for (const isVisible of [false, true, false, true]) show(isVisible);
        for (const type of ['pagehide', 'pageshow', 'online']) fire(type);
        pass(599_000);
        await settle();
        expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream']);
        pass(2000);
        await received(1);
      },
    );

    test.each([
      ['resume', '', resume],
      ['resume, nor for a Retry-After', '600', resume],
      ['online', '', () => fire('online')],
      ['visibilitychange', '', () => fire('visibilitychange')],
      [
        'online, when the machine has slept through a Retry-After',
        '600',
        () => {
          sleep(700_000);
          fire('online');
        },
      ],
    ])('does not wait for the backoff at %s', async (_when, retryAfter, wake) => {
      const { requests, delays, subscription, received } = await open([
        answer(503, { 'Retry-After': retryAfter }),
        stream('data: a'),
      ]);
      await eventually(() => delays.length === 1);
      wake(subscription);
      await received(1);
      expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream', 'GET /stream']);
    });
  });

  describe('that is cut', () => {
    test('leaves the first cut to the browser, and backs off when it fails or the stream dies again', async () => {
      const { requests, delays, received, cut } = await open([
        stream('id: 1\ndata: a'),
        stream('id: 2\ndata: b'),
        stream('id: 3\ndata: c'),
      ]);
      for (const [i, ms] of [50, 200, 400].entries()) {
        await received(i + 1);
        await cut();
        pass(ms);
      }
      await received(4);
      expect(asked(requests)).toEqual([
        'GET /stream',
        'GET /stream',
        'GET /stream?lastEventId=2',
        'GET /stream?lastEventId=3',
      ]);
      expect(delays).toEqual([200, 400]);
    });

    test('counts failures anew after a steady stream', async () => {
      const { statuses, received, cut } = await open([stream('id: 1\ndata: a')]);
      await received(1);
      await cut();
      pass(50);
      await received(2);
      pass(STEADY_AFTER_MS + WATCH_INTERVAL_MS);
      await cut();
      pass(50);
      await received(3);
      await cut();
      expect(statuses.filter(({ state }) => state === 'reconnecting')).toEqual([
        { state: 'reconnecting', attempt: 1 },
        { state: 'reconnecting', attempt: 1 },
        { state: 'reconnecting', attempt: 2, dueAt: expect.any(Number) },
      ]);
    });

    test('calls a function for the URL of each request, and keeps its place', async () => {
      let n = 0;
      const { requests, delays, received, cut } = await open(
        [stream('id: 1\ndata: a'), answer(503), stream('id: 2\ndata: b')],
        { url: (origin) => () => `${origin}/stream?token=${(n += 1)}` },
      );
      await received(1);
      await cut();
      pass(100);
      await eventually(() => delays.length === 2);
      pass(200);
      await received(2);
      expect(asked(requests)).toEqual([
        'GET /stream?token=1',
        'GET /stream?token=2&lastEventId=1',
        'HEAD /stream?token=3&lastEventId=1',
        'GET /stream?token=4&lastEventId=1',
      ]);
    });

    test('reports a URL that can not be had, and asks for it again', async () => {
      const urls = ['/stream', undefined, '/stream'];
      const { requests, subscription, received } = await open([stream('id: 1\ndata: a')], {
        url: (origin) => () => {
          const url = urls.shift();
          if (url === undefined) throw new Error('no token');
          return `${origin}${url}`;
        },
      });
      await received(1);
      subscription.drop();
      expect(() => pass(101)).toThrow('no token');
      pass(200);
      await received(2);
      expect(asked(requests)).toEqual(['GET /stream', 'GET /stream?lastEventId=1']);
    });

    test('throws for an invalid URL, and leaves nothing behind', () => {
      const onStatus = vi.fn<(status: Status) => void>();
      expect(() => subscribe('https://[', {}, { onStatus })).toThrow(
        expect.objectContaining({ name: 'SyntaxError' }),
      );
      expect(vi.getTimerCount()).toBe(0);
      fire('online');
      expect(onStatus).not.toHaveBeenCalled();
    });

    test('begins after an ID that was kept elsewhere, and keeps the last one where there is none or an empty one', async () => {
      const { requests, subscription, received } = await open(
        [stream('data: without', 'id: 42\ndata: a', 'id\ndata: b'), stream('data: without')],
        { lastEventId: '41' },
      );
      for (const [n, ms] of [
        [3, 100],
        [4, 200],
        [5, 400],
      ] as const) {
        await received(n);
        subscription.drop();
        pass(ms);
      }
      await received(6);
      expect(asked(requests)).toEqual([41, 42, 42, 42].map((id) => `GET /stream?lastEventId=${id}`));
    });

    test.each([
      ['resume', resume],
      ['online', () => fire('online')],
    ])('does not wait for the browser at %s, and leaves an open connection alone', async (_what, wake) => {
      const { requests, subscription, received, cut, settle } = await open([stream('id: 1\ndata: a')]);
      await received(1);
      await cut();
      wake(subscription);
      await received(2);
      wake(subscription);
      await settle();
      expect(asked(requests)).toEqual(['GET /stream', 'GET /stream?lastEventId=1']);
    });

    test.each([
      ['/stream?sig=abc~%2B%27(x)*&flag', '/stream?sig=abc~%2B%27(x)*&flag&lastEventId=a%20b'],
      ['/stream?lastEventId=1&sig=a~b#part', '/stream?lastEventId=a%20b&sig=a~b'],
      ['/stream?myLastEventId=1', '/stream?myLastEventId=1&lastEventId=a%20b'],
      ['/stream?x=1&lastEventId=a%20b', '/stream?x=1&lastEventId=a%20b'],
    ])('leaves the query of %s as it is', async (path, resumed) => {
      const { requests, subscription, received } = await open([stream('id: a b\ndata: a')], {
        url: (origin) => origin + path,
      });
      await received(1);
      subscription.drop();
      pass(100);
      await received(2);
      expect(requests.map(({ url }) => url)).toEqual([path.replace(/#.*/, ''), resumed]);
    });
  });

  describe('that falls silent', () => {
    test.each([
      ['has been silent for too long', stream('id: 1\ndata: a'), '?lastEventId=1'],
      ['got no answer', silence, ''],
    ])('replaces a connection that %s', async (_what, first, query) => {
      const { requests, received } = await open([first, stream('id: 2\ndata: b')], { staleAfterMs: 5000 });
      await (first === silence ? eventually(() => requests.length === 1) : received(1));
      pass(5000 + 2 * WATCH_INTERVAL_MS);
      pass(100);
      await eventually(() => requests.length === 2);
      expect(requests[1]?.url).toBe(`/stream${query}`);
      await eventually(() => requests[0]?.socket.destroyed);
    });

    test('has twice the patience after each fruitless silence, up to eight times, until a message comes', async () => {
      const responses: ServerResponse[] = [];
      const { delays, received, is } = await open([(_req, res) => void responses.push(res)], {
        staleAfterMs: 5000,
      });
      for (const [n, ms] of [5000, 10_000, 20_000, 40_000, 40_000, 5000].entries()) {
        await eventually(() => responses.length > n);
        responses[n]?.writeHead(200, STREAM).write(n === 5 ? 'data: a\n\n' : '\n');
        if (n === 5) await received(1);
        await is('open');
        pass(ms);
        expect(delays.length).toBe(n);
        pass(2 * WATCH_INTERVAL_MS);
        expect(delays.length).toBe(n + 1);
        pass(BACKOFF_CAP_MS / 10);
      }
    });

    test.each([
      ['a message', 'id: 1\ndata: a\n\n', ['a', 'a']],
      ['a heartbeat without a handler', 'event: heartbeat\ndata: \n\n', []],
    ])(
      'keeps a connection on which something is heard in time, by default 40 s: %s',
      async (_what, text, data) => {
        const responses: ServerResponse[] = [];
        const { requests, delays, messages, states, is } = await open([streamBy(responses)]);
        await is('open');
        let heard = 0;
        for (const type of ['message', 'heartbeat']) sources[0]?.addEventListener(type, () => (heard += 1));
        for (const n of [1, 2]) {
          pass(39_000);
          fire('online'); // too early to give it up
          expect(states()).toEqual(['connecting', 'open']);
          responses[0]?.write(text);
          await eventually(() => heard === n);
        }
        expect(requests.length).toBe(1);
        pass(42_000);
        expect(delays.length).toBe(1);
        expect(messages.map(([, one]) => one)).toEqual(data);
      },
    );

    test('grants one more turn to messages that wait behind a late timer', async () => {
      const { received, states } = await open([stream('id: 1\ndata: a')], { staleAfterMs: 5000 });
      await received(1);
      pass(5000); // silent once
      // As in Firefox: the late timer came first, the message that was there before it comes next.
      sources[0]?.dispatchEvent(new MessageEvent('message', { data: 'late' }));
      pass(1000);
      expect(await received(2)).toEqual(['a', 'late']);
      expect(states()).toEqual(['connecting', 'open']);
    });

    test.each([
      ['forward', 3_600_000],
      ['back', -3_600_000],
    ])('is not misled by a clock that jumps %s', async (_way, jump) => {
      const { delays, received, states } = await open([stream('id: 1\ndata: a')], { staleAfterMs: 5000 });
      await received(1);
      sleep(jump);
      pass(4000);
      expect(states()).toEqual(['connecting', 'open']);
      pass(3000);
      expect(delays.length).toBe(1);
    });

    test('replaces at once what fell silent while the page slept, and counts no failure of a steady stream', async () => {
      const { requests, received, states, cut } = await open([stream('id: 1\ndata: a')], {
        staleAfterMs: 20_000,
      });
      await received(1);
      await cut();
      pass(50);
      await received(2);
      pass(STEADY_AFTER_MS + WATCH_INTERVAL_MS);
      fire('online');
      sleep(600_000);
      fire('visibilitychange');
      await received(3);
      expect(asked(requests)).toEqual(['GET /stream', 'GET /stream', 'GET /stream?lastEventId=1']);
      expect(states()).toEqual(['connecting', 'open', 'reconnecting', 'open', 'connecting', 'open']);
    });

    test('notices an EventSource that was closed without a word, as Firefox does at a download', async () => {
      const { delays, received } = await open([stream('id: 1\ndata: a')]);
      await received(1);
      sources[0]?.close();
      pass(2 * WATCH_INTERVAL_MS);
      expect(delays).toEqual([100]);
    });

    test('makes no timer for a message', async () => {
      const { received } = await open([stream('id: 1\ndata: a')]);
      await received(1);
      const set = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
      sources[0]?.dispatchEvent(new MessageEvent('message', { data: 'b' }));
      expect(await received(2)).toEqual(['a', 'b']);
      for (const spy of set) expect(spy).not.toHaveBeenCalled();
    });
  });

  describe('in a page that comes and goes', () => {
    test.each([
      ['pagehide to pageshow', () => fire('pagehide'), () => fire('pageshow')],
      ['hiding to showing, if asked to', () => show(false), () => show(true)],
      ['pause to resume', (subscription: Subscription) => subscription.pause(), resume],
    ])('is paused without a connection from %s', async (_when, leave, comeBack) => {
      const { requests, subscription, received, states } = await open([stream('id: 1\ndata: a')], {
        pauseWhenHidden: true,
      });
      await received(1);
      leave(subscription);
      subscription.drop(); // there is nothing to cut
      expect(subscription.status).toEqual({ state: 'paused' });
      await eventually(() => requests[0]?.socket.destroyed);
      comeBack(subscription);
      comeBack(subscription);
      await received(2);
      expect(states()).toEqual(['connecting', 'open', 'paused', 'connecting', 'open']);
      expect(asked(requests)).toEqual(['GET /stream', 'GET /stream?lastEventId=1']);
    });

    test('keeps its connection while the page is hidden, if not asked to let go', async () => {
      const { received, states } = await open([stream('id: 1\ndata: a')]);
      await received(1);
      for (const isVisible of [false, true]) show(isVisible);
      expect(states()).toEqual(['connecting', 'open']);
    });

    test('makes no connection in a hidden page, if asked to', async () => {
      visibilityState = 'hidden';
      const { requests, subscription, received, states, settle } = await open([stream('data: a')], {
        pauseWhenHidden: true,
      });
      subscription.resume();
      await settle();
      expect(requests.length).toBe(0);
      expect(states()).toEqual(['paused']);
      show(true);
      await received(1);
    });
  });

  describe('that somebody steers', () => {
    test('closes for good, and says so once', async () => {
      const { requests, statuses, subscription, received, settle } = await open([stream('data: a')]);
      await received(1);
      for (const act of ['close', 'close', 'pause', 'resume', 'drop'] as const) subscription[act]();
      await eventually(() => requests[0]?.socket.destroyed);
      pass(BACKOFF_CAP_MS);
      await settle();
      expect(requests.length).toBe(1);
      expect(statuses).toEqual([{ state: 'connecting' }, { state: 'open' }, { state: 'closed' }]);
      expect(subscription.status).toEqual({ state: 'closed' });
    });

    test.each([
      ['connecting', stream('id: 1\ndata: a')],
      ['open', stream('id: 1\ndata: a')],
      ['reconnecting', answer(502)],
    ])('may be paused by who hears that it is %s', async (heard, always) => {
      const paused: Subscription[] = [];
      const { requests, subscription, is, states, settle } = await open([always], {
        onStatus: ({ state }) => state === heard && paused[0]?.pause(),
      });
      subscription.pause();
      paused.push(subscription);
      subscription.resume();
      await is('paused');
      await settle();
      const before = requests.length;
      pass(2 * BACKOFF_CAP_MS);
      await settle();
      expect(requests.length).toBe(before);
      expect(states().at(-1)).toBe('paused');
    });

    test('reports what onStatus throws, and comes back all the same', async () => {
      const { requests, statuses, received } = await open([answer(502), stream('data: a')], {
        onStatus({ state }) {
          if (state !== 'closed') throw new Error(`broken at ${state}`);
        },
      });
      await eventually(() => statuses.length === 3);
      expect(() => pass(100)).toThrow('broken at connecting');
      await received(1);
      expect(asked(requests)).toEqual(['GET /stream', 'HEAD /stream', 'GET /stream']);
      expect(() => pass(0)).toThrow('broken at open');
    });
  });

  describe('that gets a message', () => {
    test('hands heartbeats on to who wants them', async () => {
      const { messages, received } = await open([stream('id: 1\nevent: heartbeat\ndata: a')], {
        events: ['heartbeat'],
      });
      await received(1);
      expect(messages).toEqual([['heartbeat', 'a', '1']]);
    });

    test('ignores events and handlers of the names open and error', async () => {
      const { messages, received, states } = await open(
        [stream('id: 1\ndata: a', 'event: error\ndata: x', 'event: open\ndata: x', 'id: 2\ndata: b')],
        { events: ['message', 'open', 'error'] },
      );
      await received(2);
      expect(messages.map(([type]) => type)).toEqual(['message', 'message']);
      expect(states()).toEqual(['connecting', 'open']);
    });

    test('listens to the events of new handlers on the same connection', async () => {
      const responses: ServerResponse[] = [];
      const { requests, messages, subscription, is } = await open([streamBy(responses)]);
      await is('open');
      const other = vi.fn<(message: MessageEvent<string>) => void>();
      subscription.handle({ other });
      subscription.handle({ other });
      responses[0]?.write('event: note\ndata: b\n\nid: 2\nevent: other\ndata: c\n\n');
      await eventually(() => other.mock.calls.length > 0);
      expect(other).toHaveBeenCalledExactlyOnceWith(
        expect.objectContaining({ type: 'other', data: 'c', lastEventId: '2' }),
      );
      expect(messages).toEqual([]);
      expect(requests.length).toBe(1);
    });

    test.each([
      ['', () => {}],
      [', also when its handler pauses', (subscription: Subscription) => subscription.pause()],
    ])('is closed for good by the event that ends the stream%s', async (_what, atEnd) => {
      const responses: ServerResponse[] = [];
      const { requests, subscription, is, states, settle } = await open([streamBy(responses)]);
      await is('open');
      const end = vi.fn<() => void>(() => atEnd(subscription));
      subscription.handle({ end });
      responses[0]?.write('event: end\ndata: \n\n');
      await is('closed');
      expect(end).toHaveBeenCalledOnce();
      subscription.resume();
      fire('online');
      pass(2 * BACKOFF_CAP_MS);
      await settle();
      expect(requests.length).toBe(1);
      expect(states().at(-1)).toBe('closed');
    });

    test('closes an EventSource that speaks after it was closed, as WebKit revives them', async () => {
      const { subscription, received } = await open([stream('id: 1\ndata: a'), stream('id: 2\ndata: b')]);
      await received(1);
      subscription.drop();
      pass(100);
      await received(2);
      const close = vi.spyOn(sources[0] ?? expect.unreachable(), 'close');
      sources[0]?.dispatchEvent(new Event('open'));
      sources[0]?.dispatchEvent(new MessageEvent('message', { data: 'a', lastEventId: '1' }));
      expect(close).toHaveBeenCalledTimes(2);
      expect(await received(2)).toEqual(['a', 'b']);
    });
  });
});

describe('a subscription with an EventSource of its own', () => {
  test('says what is missing where there is no EventSource', () => {
    expect(globalThis.EventSource).toBeUndefined();
    expect(() => subscribe('/stream', {})).toThrow(
      'expected a global EventSource or the option EventSource, found none',
    );
  });

  test.each([
    ['npm’s eventsource', EventSource],
    ['a class over fetch', OverFetch],
  ])('sends no HEAD where %s tells the status', async (_what, Source) => {
    const { requests, statuses, is, cut } = await open(
      [answer(503), answer(200, HTML), stream('id: 1\ndata: a'), answer(401)],
      { EventSource: Source },
    );
    await is('open');
    await cut();
    await is('closed');
    expect(statuses.flatMap((status) => ('status' in status ? [status.status] : []))).toEqual(
      // npm's reconnects once by itself: it asks again where the other has to wait
      [503, 503, 200, 200, 401],
    );
    expect(new Set(requests.map(({ method }) => method))).toEqual(new Set(['GET']));
  });

  test('takes an answer that never came, and a Retry-After, from a class over fetch', async () => {
    const { requests, statuses, received, is } = await open(
      [
        (req) => void req.socket.destroy(),
        answer(429, { 'Retry-After': '1' }),
        stream('data: a', 'event: end\ndata: '),
      ],
      { EventSource: OverFetch },
    );
    await is('closed');
    expect(await received(1)).toEqual(['a']);
    expect(asked(requests)).toEqual(['GET /stream', 'GET /stream', 'GET /stream']);
    expect(statuses.flatMap((status) => ('dueAt' in status ? [status.status] : []))).toEqual([
      undefined,
      429,
    ]);
  });
});
