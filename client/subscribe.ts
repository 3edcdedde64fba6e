/** Name of the event that ends a stream for good: the server sends it last. */
export const END_EVENT = 'end';

/** Name of the event that the server sends when it has had nothing else to send for a while. */
export const HEARTBEAT_EVENT = 'heartbeat';

/** Backoff with full jitter: each delay is random, up to a maximum that doubles from `BACKOFF_START_MS`. */
const BACKOFF_START_MS = 1000;
export const BACKOFF_CAP_MS = 30_000;

/** A stream that was open for this long is steady: the failure count resets. */
export const STEADY_AFTER_MS = 15_000;

/** Timeout of the HEAD request that asks why the server refused. */
export const HEAD_TIMEOUT_MS = 5000;

/** The longest `Retry-After` that is honoured. */
export const RETRY_AFTER_CAP_MS = 3_600_000;

/**
 * The state of a subscription. `attempt` counts the failures since the last steady stream. `dueAt` (ms since
 * the epoch) is when the next attempt starts; it is missing during an attempt, and while the browser
 * reconnects by itself. `status` is the HTTP status of the last refusal, if known.
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

/** A handler for each event. `open` and `error` are EventSource's own: a server cannot send them. */
export type Handlers<E extends EventData<E> = Events> = {
  readonly [Type in keyof E]: (message: MessageEvent<Text<E[Type]>>) => void;
} & { readonly open?: never; readonly error?: never };

/** Numbers arrive as text. */
type Text<Data> = Data extends number ? `${Data}` : Data;

/** Parses what the server's `json` wrote; its type is not checked. Throws a `SyntaxError` for other text. */
export function parse<Value>(text: string & { readonly __json: Value }): Value {
  return JSON.parse(text);
}

export interface SubscribeOptions {
  /** Called with each new status, from `connecting` on. */
  onStatus?: ((status: Status) => void) | undefined;
  /**
   * Watchdog: after this much silence the connection counts as dead, ms. It must exceed the sum of the
   * server's heartbeat interval and its longest reconnection time. Default: 40,000. `Infinity` turns it off.
   */
  staleAfterMs?: number | undefined;
  /** Whether to close the connection while the page is hidden. Default: false. */
  pauseWhenHidden?: boolean | undefined;
  /** Whether to send cookies to another origin. Default: false. */
  withCredentials?: boolean | undefined;
  /** Resume after this event, if you kept its ID elsewhere. Default: start at the stream's beginning. */
  lastEventId?: string | undefined;
}

export interface Subscription {
  readonly status: Status;
  /** Closes the connection. A paused subscription needs no cleanup. */
  pause: () => void;
  /** Connects again, after the last event. Does nothing after the end of the stream or a final refusal. */
  resume: () => void;
  /** Cuts the connection. The subscription reconnects after a backoff, as after any failure. */
  drop: () => void;
  /** Closes the subscription for good. */
  close: () => void;
}

/**
 * Connects to the event stream at `url` (HTML, 9.2 "Server-sent events") and stays connected until you or the
 * server end it. Each event is handed on once and in order if the server resumes after the last event ID. A
 * function as `url` is called before each request, for example to add a fresh token. Throws a `SyntaxError`
 * if the first URL is invalid.
 *
 * A bare EventSource differs: it reconnects at a fixed pace for ever, and stops at any refusal. Here the
 * browser makes one reconnect, with the header `Last-Event-ID`, if `url` is a string and the stream was the
 * first or was open for 15 s. All other attempts follow a backoff and carry the query parameter
 * `lastEventId`, appended or replaced; `retry` does not apply to them. Statuses 204 and 4xx, except 405, 408,
 * 425 and 429, close the subscription. An event without a handler neither resets the watchdog nor advances the
 * last event ID. An empty `id` clears the last event ID only on a connection that has already received
 * another.
 */
export function subscribe<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  options?: SubscribeOptions,
): Subscription;
export function subscribe(
  url: string | (() => string),
  handlers: Handlers,
  options: SubscribeOptions = {},
): Subscription {
  const { onStatus, staleAfterMs = 40_000, pauseWhenHidden = false, withCredentials = false } = options;
  let { lastEventId = '' } = options;
  let status: Status = { state: 'connecting' };
  let hasStarted = false;
  let running = false;
  let source: EventSource | undefined;
  let probe: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempt = 0;
  let refusal: { status?: number } = {};
  let retryAfterMs = 0;
  let openedAt = 0;
  let heardAt = 0;

  resume();
  hasStarted = true;
  return {
    pause,
    resume,
    drop,
    close: () => close(),
    get status() {
      return status;
    },
  };

  function resume(): void {
    if (running || status.state === 'closed') return;
    running = true;
    for (const type of PAGE_EVENTS) globalThis.addEventListener?.(type, pageChanged);
    attempt = 0;
    connect();
  }

  function pause(): void {
    if (!running) return;
    stop();
    suspend();
  }

  function close(reason: { status?: number } = {}): void {
    if (status.state === 'closed') return;
    stop();
    setStatus({ state: 'closed', ...reason });
  }

  function stop(): void {
    running = false;
    for (const type of PAGE_EVENTS) globalThis.removeEventListener?.(type, pageChanged);
    disconnect();
  }

  function drop(): void {
    if (source) fail();
  }

  function connect(): void {
    disconnect();
    if (pauseWhenHidden && isHidden()) return suspend();
    try {
      source = listen(new EventSource(address(), { withCredentials }));
    } catch (error) {
      if (!hasStarted) {
        close();
        throw error;
      }
      report(error);
      return fail();
    }
    watch();
    setStatus(attempt === 0 ? { state: 'connecting' } : { state: 'reconnecting', attempt });
  }

  function listen(current: EventSource): EventSource {
    let hasId = false;
    on('open', opened);
    on('error', failed);
    for (const type of new Set([...Object.keys(handlers), HEARTBEAT_EVENT, END_EVENT])) {
      if (type !== 'open' && type !== 'error') on(type, receive);
    }
    return current;

    function on(type: string, listener: (message: MessageEvent<string>) => void): void {
      current.addEventListener(type, (message: MessageEvent<string>) => {
        // A closed one may still fire: for messages in the same chunk, or in WebKit, which reopens it.
        if (source === current) listener(message);
        else current.close();
      });
    }

    function receive(message: MessageEvent<string>): void {
      // A new EventSource has an empty ID. Once it has had another, an empty one comes from the server.
      hasId ||= message.lastEventId !== '';
      if (hasId) lastEventId = message.lastEventId;
      watch();
      try {
        handlers[message.type]?.(message);
      } finally {
        if (message.type === END_EVENT) close();
      }
    }
  }

  function disconnect(): void {
    clearTimeout(timer);
    probe?.abort();
    source?.close();
    probe = source = undefined;
  }

  function suspend(): void {
    disconnect();
    if (status.state !== 'paused') setStatus({ state: 'paused' });
  }

  function opened(): void {
    if (status.state === 'open') return; // the server sent an event named `open`
    openedAt = performance.now();
    refusal = {};
    watch();
    setStatus({ state: 'open' });
  }

  function failed(): void {
    if (source?.readyState === EventSource.OPEN) return; // the server sent an event named `error`
    if (source?.readyState === EventSource.CLOSED) return void refused();
    const browserMayRetry = status.state === 'open' && nextAttempt() === 1 && typeof url === 'string';
    if (!browserMayRetry) return fail();
    attempt = 1;
    setStatus({ state: 'reconnecting', attempt }); // left to the browser
  }

  /**
   * The browser gives up after any answer but a stream, and hides the status. HEAD finds it. In a long outage
   * only every 20th attempt asks.
   */
  async function refused(): Promise<void> {
    attempt = nextAttempt();
    if (attempt >= 10 && attempt % 20 !== 0 && retryAfterMs < BACKOFF_CAP_MS) return backOff();
    disconnect();
    const current = new AbortController();
    probe = current;
    timer = setTimeout(() => current.abort(), HEAD_TIMEOUT_MS);
    setStatus({ state: 'reconnecting', attempt, ...refusal });
    const answer = await head(current.signal).catch(() => undefined); // a failed request tells nothing
    if (probe !== current) return;
    if (answer && isFinal(answer.status)) return close({ status: answer.status });
    refusal = answer && isTemporary(answer.status) ? { status: answer.status } : {};
    retryAfterMs = readRetryAfter(answer?.headers.get('Retry-After') ?? '');
    backOff();
  }

  async function head(signal: AbortSignal): Promise<Response> {
    return fetch(address(), {
      method: 'HEAD',
      headers: { Accept: 'text/event-stream' },
      credentials: withCredentials ? 'include' : 'same-origin',
      cache: 'no-store',
      signal,
    });
  }

  function fail(): void {
    attempt = nextAttempt();
    refusal = {};
    retryAfterMs = 0;
    backOff();
  }

  function backOff(): void {
    disconnect();
    const longest = Math.min(BACKOFF_CAP_MS, BACKOFF_START_MS * 2 ** (attempt - 1));
    const delay = retryAfterMs + Math.random() * longest;
    timer = setTimeout(connect, delay);
    setStatus({ state: 'reconnecting', attempt, dueAt: Date.now() + delay, ...refusal });
  }

  function nextAttempt(): number {
    const isSteady = status.state === 'open' && performance.now() - openedAt >= STEADY_AFTER_MS;
    return isSteady ? 1 : attempt + 1;
  }

  /** Restarts the watchdog. */
  function watch(): void {
    heardAt = Date.now(); // unlike timers, it advances while the machine sleeps
    clearTimeout(timer);
    // Waits one more turn: Firefox runs an overdue timer before the events that are pending.
    if (staleAfterMs < 2 ** 31) timer = setTimeout(() => (timer = setTimeout(fail)), staleAfterMs);
  }

  function pageChanged({ type }: Event): void {
    // The back/forward cache may give the page back. Firefox does not keep one whose connection is open.
    if (type === 'pagehide') return disconnect();
    if (pauseWhenHidden && isHidden()) return suspend();
    if (type === 'visibilitychange' && isHidden()) return;
    const isSilent = Date.now() - heardAt >= staleAfterMs;
    if (source && status.state !== 'reconnecting' && !isSilent) return;
    attempt = nextAttempt() - 1; // 0 after a steady stream
    connect();
  }

  function address(): string {
    return withLastEventId(typeof url === 'string' ? url : url(), lastEventId);
  }

  function setStatus(next: Status): void {
    status = next;
    try {
      onStatus?.(next);
    } catch (error) {
      report(error);
    }
  }
}

/** Reports an error as an uncaught one, without stopping the caller. */
function report(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}

const PAGE_EVENTS = ['visibilitychange', 'pagehide', 'pageshow', 'online'];

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Edits the query as text: it may be signed, and URLSearchParams would write it anew. */
function withLastEventId(url: string, lastEventId: string): string {
  if (lastEventId === '') return url;
  const [address = ''] = url.split('#'); // fragments are not sent
  const id = encodeURIComponent(lastEventId);
  const parameter = /([?&]lastEventId=)[^&]*/;
  if (parameter.test(address)) return address.replace(parameter, (_, name: string) => name + id);
  return `${address}${address.includes('?') ? '&' : '?'}lastEventId=${id}`;
}

/** Whether the same request may succeed later. 501 Not Implemented says only that the server lacks HEAD. */
function isTemporary(status: number): boolean {
  return [408, 425, 429].includes(status) || (status >= 500 && status !== 501);
}

/** 204 No Content asks a client to stop (HTML, 9.2.3). 405 says only that the server does not know HEAD. */
function isFinal(status: number): boolean {
  return status === 204 || (status >= 400 && status < 500 && status !== 405 && !isTemporary(status));
}

/** Reads `Retry-After`, seconds or a date (RFC 9110, 10.2.3), as ms from now. */
function readRetryAfter(value: string): number {
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, RETRY_AFTER_CAP_MS) : 0;
}
