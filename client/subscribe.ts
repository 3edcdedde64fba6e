/** Name of the event that ends a stream for good: the server sends it last. */
export const END_EVENT = 'end';

/** Name of the event that the server sends when it has had nothing else to send for a while. */
export const HEARTBEAT_EVENT = 'heartbeat';

const BACKOFF_START_MS = 1000;
export const BACKOFF_CAP_MS = 30_000;

/** A stream that was open for this long is steady: the failure count resets. */
export const STEADY_AFTER_MS = 15_000;

/** How often the watchdog looks: a message only notes the time. */
export const WATCH_INTERVAL_MS = 1000;

/** The longest patience of the watchdog, in multiples of `staleAfterMs`. */
const MAX_PATIENCE = 8;

/** Timeout of the HEAD request that asks why the server refused. */
export const HEAD_TIMEOUT_MS = 5000;

/** The longest `Retry-After` that is honoured. */
export const RETRY_AFTER_CAP_MS = 3_600_000;

/**
 * The state of a subscription. `attempt` counts the failures since the last steady stream. `dueAt` (ms since
 * the epoch) is when the next attempt starts; it is missing during an attempt, and while the browser
 * reconnects by itself. `status` is the HTTP status of the last refusal, until something newer is known.
 */
export type Status =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'reconnecting'; attempt: number; dueAt?: number; status?: number }
  | { state: 'paused' }
  | { state: 'closed'; status?: number };

/** The names of events and their data, as an interface or a type. An event without a name is a `message`. */
export type EventData<E> = { [Type in keyof E]: string | number };
export type Events = Record<string, string | number>;

/** A handler for each event. The names `open` and `error` are taken: EventSource dispatches them itself. */
export type Handlers<E extends EventData<E> = Events> = {
  readonly [Type in keyof E]: (message: MessageEvent<Text<E[Type]>>) => void;
} & { readonly open?: never; readonly error?: never };

/** Numbers arrive as text. */
type Text<Data> = Data extends number ? `${Data}` : Data;

/** Parses what the server's `json` wrote; its type is not checked. Throws a `SyntaxError` for other text. */
export function parse<Value>(text: string & { readonly __json: Value }): Value {
  return JSON.parse(text) as Value;
}

export interface SubscribeOptions {
  /** Called with each new status, from `connecting` on. */
  onStatus?: ((status: Status) => void) | undefined;
  /**
   * Watchdog: after this much silence the connection counts as dead, ms. It must exceed the sum of the
   * server's heartbeat interval and its longest reconnection time: the browser's own reconnect is silent, too.
   * Default: 40,000. `Infinity` turns it off.
   */
  staleAfterMs?: number | undefined;
  /** Whether to close the connection while the page is hidden. Default: false. */
  pauseWhenHidden?: boolean | undefined;
  /** Whether to send cookies to another origin. Default: false. */
  withCredentials?: boolean | undefined;
  /** Resume after this event, if you kept its ID elsewhere. Default: start at the stream's beginning. */
  lastEventId?: string | undefined;
  /**
   * The class that connects, for example one that sends a token in a header. Default: the global EventSource.
   * Its instances dispatch `open`, `error` and the server's events, with `data` and `lastEventId`. As in every
   * EventTarget, adding a listener twice must call it once. `readyState` after an `error` is 0 if the
   * instance reconnects by itself, and 2 if it does not. The error event may carry the answer's status as `code`
   * or the answer as `response`; then no HEAD is sent. A `code` of 0, as in `Response.error()`, is a network
   * failure.
   */
  EventSource?: EventSourceClass | undefined;
}

/** The part of EventSource that `subscribe` uses. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: Event) => void): void;
  close(): void;
}
export type EventSourceClass = new (url: string, init: { withCredentials: boolean }) => EventSourceLike;

export interface Subscription {
  readonly status: Status;
  /** Closes the connection and removes all listeners, so a paused subscription needs no cleanup. */
  pause: () => void;
  /**
   * Connects again, after the last event. It ends any wait, even one for `Retry-After`. Does nothing while
   * connected, and after the end of the stream or a final refusal.
   */
  resume: () => void;
  /** Cuts the connection. The subscription reconnects after a backoff, as after any failure. */
  drop: () => void;
  /** Closes the subscription for good. */
  close: () => void;
  /** Replaces the handlers, without a new connection; `useEventSource` does so at each render. */
  handle: <E extends EventData<E>>(handlers: Handlers<E>) => void;
}

/**
 * Connects to the event stream at `url` (HTML, 9.2 "Server-sent events") and stays connected until you or the
 * server end it. Each event is handed on once and in order if the server resumes after the last event ID. A
 * function as `url` is called before each request, for example to add a fresh token. Throws a `SyntaxError`
 * if the first URL is invalid, and an `Error` where there is no EventSource.
 *
 * A bare EventSource reconnects at a fixed pace for ever, but gives up at any refusal. Here:
 * - **Reconnecting.** When the first stream is cut, or one that was open for 15 s, and `url` is a string, the
 *   browser makes the next attempt: after `retry`, with the header `Last-Event-ID`. All others use a backoff
 *   and carry the query parameter `lastEventId`, appended or replaced.
 * - **Refusals.** Statuses 204 and 4xx, except 405, 408, 425 and 429, close the subscription. Others, and a 200
 *   that is not `text/event-stream`, do not. Only `resume` connects before a `Retry-After` is over.
 * - **Silence.** The watchdog's patience doubles with each fruitless silence, up to eight times `staleAfterMs`,
 *   so that a large message comes through on a slow line. After a message it is back to normal.
 * - **Events.** One without a handler does not reset the watchdog, and its ID counts at the next event that has
 *   one. An event without an ID, or with an empty one, leaves the last event ID as it is.
 */
export function subscribe<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  options: SubscribeOptions = {},
): Subscription {
  const { onStatus, staleAfterMs = 40_000, pauseWhenHidden = false, withCredentials = false } = options;
  const Source: EventSourceClass = options.EventSource ?? globalThis.EventSource;
  if (!Source)
    throw new Error('subscribe: expected a global EventSource or the option EventSource, found none');
  let handlerOf = handlers as Handlers;
  let { lastEventId = '' } = options;
  let status: Status = { state: 'connecting' };
  let attempt = 0;
  let patienceMs = staleAfterMs;
  let leave = nothing; // ends what the subscription does now
  let attach: (() => void) | undefined; // while there is an EventSource: listens to what has a handler

  connect();
  return {
    pause: () => enter({ state: 'paused' }),
    resume() {
      if (status.state === 'paused' || status.state === 'reconnecting') reconnect();
    },
    drop() {
      if (attach) retryLater();
    },
    close: () => enter({ state: 'closed' }),
    handle(next) {
      handlerOf = next as Handlers;
      attach?.();
    },
    get status() {
      return status;
    },
  };

  /** Leaves the current phase and begins the next. A phase returns what ends it, as an effect of React does. */
  function enter(next: Status, phase: () => () => void = () => nothing): void {
    if (status.state === 'closed') return;
    leave();
    leave = phase();
    setStatus(next); // last, as `onStatus` may enter another
  }

  function connect(): void {
    if (pauseWhenHidden && isHidden()) return suspend();
    const next: Status = attempt === 0 ? { state: 'connecting' } : reconnecting();
    enter(next, () => listen(new Source(address(), { withCredentials })));
  }

  /** As `connect`, but what it throws, such as an error of `url`, is a failure like others. */
  function reconnect(): void {
    try {
      connect();
    } catch (error) {
      report(error);
      retryLater();
    }
  }

  function retryLater(): void {
    attempt += 1;
    wait();
  }

  function listen(source: EventSourceLike): () => void {
    let openedAt = 0;
    let lookedAt = 0; // when the watchdog last looked
    let heardAt = performance.now(); // when a look found that something had been heard
    let heardDate = Date.now(); // may be set, but unlike performance.now() advances while the machine sleeps
    let seenDate = heardDate; // as the last look found it
    let isLeft = false;
    attach = listenToHandlers;
    attach();
    const timer = setInterval(watch, WATCH_INTERVAL_MS);
    const unlisten = onPage(suspend, () => {
      if (status.state === 'reconnecting' || Date.now() - heardDate >= patienceMs) reconnect();
    });
    return () => {
      isLeft = true;
      attach = undefined;
      clearInterval(timer);
      unlisten();
      source.close();
    };

    function listenToHandlers(): void {
      const types = ['open', 'error', HEARTBEAT_EVENT, END_EVENT, ...Object.keys(handlerOf)];
      for (const type of types) source.addEventListener(type, hear);
    }

    function hear(event: Event): void {
      // A closed source may still dispatch the rest of a chunk, and WebKit may even reopen it.
      if (isLeft) source.close();
      else if (event.type === 'open') onOpen();
      else if (event.type === 'error') onError(event);
      else receive(event as MessageEvent<string>);
    }

    function receive(message: MessageEvent<string>): void {
      heardDate = Date.now();
      patienceMs = staleAfterMs;
      lastEventId = message.lastEventId || lastEventId;
      try {
        handlerOf[message.type]?.(message);
      } finally {
        if (message.type === END_EVENT) enter({ state: 'closed' });
      }
    }

    function onOpen(): void {
      if (status.state === 'open') return; // the server sent an event named `open`
      heardDate = Date.now();
      openedAt = performance.now();
      setStatus({ state: 'open' });
    }

    function onError(event: Event): void {
      if (source.readyState === OPEN) return; // the server sent an event named `error`
      if (source.readyState === CLOSED) return ask(event);
      const browserReconnects = typeof url === 'string' && status.state === 'open' && attempt === 0;
      if (!browserReconnects) return retryLater();
      attempt = 1;
      setStatus({ state: 'reconnecting', attempt });
    }

    function watch(): void {
      const now = performance.now();
      if (status.state === 'open' && now - openedAt >= STEADY_AFTER_MS) attempt = 0;
      if (heardDate !== seenDate) heardAt = now; // not at each message: reading this clock is slow
      seenDate = heardDate;
      // Up to the last look, not to now: Firefox runs a late timer before the events that are pending.
      if (lookedAt - heardAt >= patienceMs) {
        patienceMs = Math.min(2 * patienceMs, MAX_PATIENCE * staleAfterMs);
        return retryLater();
      }
      // Firefox closes it silently when a navigation turns out to be a download.
      if (source.readyState === CLOSED) return retryLater();
      lookedAt = now;
    }
  }

  /** The EventSource gave up. A browser's hides the status of the answer, so HEAD asks for it. */
  function ask({ response, code = response?.status }: Event & { code?: number; response?: Response }): void {
    attempt += 1;
    if (code !== undefined) return answered(code, response?.headers);
    enter(reconnecting(), () => {
      const controller = new AbortController();
      const { signal } = controller;
      const timer = setTimeout(answered, HEAD_TIMEOUT_MS);
      const unlisten = onPage(suspend, nothing);
      void head(address, withCredentials, signal).then(
        (answer) => signal.aborted || answered(answer?.status, answer?.headers),
      );
      return () => {
        clearTimeout(timer);
        unlisten();
        controller.abort();
      };
    });
  }

  function answered(code = 0, headers = new Headers()): void {
    if (isFinal(code)) return enter({ state: 'closed', status: code });
    wait(isTelling(code, headers) ? { status: code } : {}, readRetryAfter(headers));
  }

  function wait(refusal: { status?: number } = {}, retryAfterMs = 0): void {
    const delay = retryAfterMs + backoff(attempt);
    const dueAt = Date.now() + delay;
    enter({ state: 'reconnecting', attempt, dueAt, ...refusal }, () => {
      const timer = setTimeout(reconnect, delay);
      const unlisten = onPage(nothing, () => {
        if (retryAfterMs === 0 || Date.now() >= dueAt) reconnect(); // never before a `Retry-After`
      });
      return () => {
        clearTimeout(timer);
        unlisten();
      };
    });
  }

  function suspend(): void {
    enter({ state: 'paused' }, () => onPage(nothing, reconnect));
  }

  /** Calls `hide` when the page goes, `wake` when it or the network is back, until the returned function is called. */
  function onPage(hide: () => void, wake: () => void): () => void {
    for (const type of PAGE_EVENTS) globalThis.addEventListener?.(type, changed);
    return () => {
      for (const type of PAGE_EVENTS) globalThis.removeEventListener?.(type, changed);
    };

    function changed({ type }: Event): void {
      // At `pagehide`, because Firefox's back/forward cache keeps no page whose connection is open.
      if (type === 'pagehide' || (pauseWhenHidden && isHidden())) hide();
      else if (type !== 'visibilitychange' || !isHidden()) wake();
    }
  }

  /** During an attempt: the status of the last refusal is kept until something else is known. */
  function reconnecting(): Status {
    const kept = status.state === 'reconnecting' && status.status !== undefined && { status: status.status };
    return { state: 'reconnecting', attempt, ...kept };
  }

  function address(): string {
    return withLastEventId(typeof url === 'string' ? url : url(), lastEventId);
  }

  function setStatus(next: Status): void {
    if (next.state === 'paused' && status.state === 'paused') return; // `pause` in a hidden page
    status = next;
    try {
      onStatus?.(next);
    } catch (error) {
      report(error);
    }
  }
}

function nothing(): void {}

/** `readyState` of an EventSource (HTML, 9.2.2). */
const OPEN = 1;
const CLOSED = 2;

const PAGE_EVENTS = ['visibilitychange', 'pagehide', 'pageshow', 'online'];

/** Reports an error as an uncaught one, without stopping the caller. */
function report(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Edits the query as text: it may be signed, and URLSearchParams would write it anew. Fragments are not sent. */
function withLastEventId(url: string, lastEventId: string): string {
  if (lastEventId === '') return url;
  const [address = ''] = (url || globalThis.document?.baseURI || '').split('#'); // '' is the page itself
  const id = encodeURIComponent(lastEventId);
  const parameter = /([?&]lastEventId=)[^&]*/;
  if (parameter.test(address)) return address.replace(parameter, (_, name: string) => name + id);
  return `${address}${address.includes('?') ? '&' : '?'}lastEventId=${id}`;
}

/** Backoff with full jitter: a random part of a time that doubles with each attempt, ms. */
function backoff(attempt: number): number {
  return Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_START_MS * 2 ** (attempt - 1));
}

/** Asks for the status of a refusal. A request that fails tells nothing. */
async function head(
  url: () => string,
  withCredentials: boolean,
  signal: AbortSignal,
): Promise<Response | undefined> {
  const credentials = withCredentials ? 'include' : 'same-origin';
  const headers = { Accept: 'text/event-stream' };
  try {
    return await fetch(url(), { method: 'HEAD', headers, credentials, cache: 'no-store', signal });
  } catch {
    return undefined;
  }
}

/** Whether the status explains the refusal. 405 and 501 say only that the server lacks HEAD. */
function isTelling(status: number, headers: Headers): boolean {
  const isStream = status === 200 && /^text\/event-stream/i.test(headers.get('Content-Type') ?? '');
  return !isStream && ![0, 405, 501].includes(status);
}

/** 204 No Content asks a client to stop (HTML, 9.2.3). The 4xx that are left out can be temporary. */
function isFinal(status: number): boolean {
  return status === 204 || (status >= 400 && status < 500 && ![405, 408, 425, 429].includes(status));
}

/** Reads `Retry-After`, seconds or a date (RFC 9110, 10.2.3), as ms from the answer's own date. */
function readRetryAfter(headers: Headers): number {
  const value = headers.get('Retry-After') ?? '';
  const now = Date.parse(headers.get('Date') ?? '') || Date.now(); // other origins must expose `Date`
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return ms > 0 ? Math.min(ms, RETRY_AFTER_CAP_MS) : 0;
}
