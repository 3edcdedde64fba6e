/** The name of the event that ends a stream for good. The server sends it last. */
export const END_EVENT = 'end';

/** The name of the event that the server sends when it has nothing else to say, so that silence means a dead connection. */
export const HEARTBEAT_EVENT = 'heartbeat';

/** Exponential backoff with full jitter: each delay is a random part of a time that doubles from the first to the last. */
export const BACKOFF_START_MS = 1000;
export const BACKOFF_CAP_MS = 30_000;

/** A stream that has lived this long is steady: the next failure is the first one again. */
export const STEADY_AFTER_MS = 15_000;

/** How long a refusal may take to explain itself, ms. */
export const HEAD_TIMEOUT_MS = 5000;

/** The longest `Retry-After` that is honoured, ms. */
export const RETRY_AFTER_CAP_MS = 3_600_000;

/**
 * The state of a subscription. `attempt` counts the failures since a stream was last steady. `dueAt` (ms since the epoch) is when
 * the next attempt starts; it is missing while an attempt is under way, or when only the browser knows. `status` is
 * the HTTP status of the refusal, where there was one and it is known.
 */
export type Status =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'reconnecting'; attempt: number; dueAt?: number; status?: number }
  | { state: 'paused' }
  | { state: 'closed'; status?: number };

/** Names events and their data, as an interface or a type. `message` is the type of an event without a name. */
export type EventData<E> = { [Type in keyof E]: string | number };

/** Any event. */
export type Events = Record<string, string | number>;

/** A handler for each event. EventSource has its own `open` and `error`, so events of these names do not exist. */
export type Handlers<E extends EventData<E> = Events> = {
  readonly [Type in keyof E]: (message: MessageEvent<Text<E[Type]>>) => void;
} & { readonly open?: never; readonly error?: never };

/** On the wire, a number is text too. */
type Text<Data> = Data extends number ? `${Data}` : Data;

/** Parses what the server's `json` wrote. Throws a `SyntaxError` for invalid JSON; it does not check the type. */
export function parse<Value>(text: string & { readonly __json: Value }): Value {
  return JSON.parse(text);
}

export interface SubscribeOptions {
  /** Called whenever the status changes, first with `connecting`. */
  onStatus?: ((status: Status) => void) | undefined;
  /**
   * Silence after which the connection counts as dead, ms. Make it longer than the server's heartbeat interval and its longest
   * reconnection time together. Default: 40,000. `Infinity` turns the watchdog off.
   */
  staleAfterMs?: number | undefined;
  /** Whether to close the connection while the page is hidden. Default: false. */
  pauseWhenHidden?: boolean | undefined;
  /** Whether to send cookies to another origin. Default: false. */
  withCredentials?: boolean | undefined;
  /** Starts after this event, when you kept its id elsewhere. Default: from the stream's beginning. */
  lastEventId?: string | undefined;
}

/** A subscription to an event stream. */
export interface Subscription {
  readonly status: Status;
  /** Closes the connection. A paused subscription needs no cleanup. */
  pause(): void;
  /** Connects again and resumes after the last event. */
  resume(): void;
  /** Cuts the connection. It comes back after a backoff, as from any failure. */
  drop(): void;
  /** Closes the subscription for good. */
  close(): void;
}

/**
 * Subscribes to the event stream at `url` (HTML, 9.2 "Server-sent events") and connects at once. A function is asked for the URL
 * at each attempt. Throws a `SyntaxError` when the URL is invalid.
 *
 * Each event is handed on once and in order, provided that the server resumes after the last event ID. The browser reconnects by
 * itself after a steady stream was cut, with the header `Last-Event-ID`. After any other failure, and always when `url` is
 * a function, a new EventSource follows after a backoff, with the query parameter `lastEventId`.
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
  let status: Status = { state: 'paused' };
  let running = false;
  let attempt = 0;
  let refusal: { status?: number } = {};
  /** Whether HEAD answers as GET does; unknown until asked. */
  let headTells: boolean | undefined;
  let source: EventSource | undefined;
  let question: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let openedAt = 0;
  let heardAt = 0;

  resume();
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
    setStatus({ state: 'paused' });
  }

  function close(answer: { status?: number } = {}): void {
    if (status.state === 'closed') return;
    stop();
    setStatus({ state: 'closed', ...answer });
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
    if (pauseWhenHidden && isHidden()) return setStatus({ state: 'paused' });
    const current = new EventSource(address(), { withCredentials });
    let hasId = false;
    source = current;
    listen('open', opened);
    listen('error', failed);
    for (const type of new Set([...Object.keys(handlers), HEARTBEAT_EVENT, END_EVENT])) {
      if (type !== 'open' && type !== 'error') listen(type, receive);
    }
    watch();
    setStatus(attempt === 0 ? { state: 'connecting' } : { state: 'reconnecting', attempt });

    function listen(type: string, heard: (message: MessageEvent<string>) => void): void {
      current.addEventListener(type, (message) => {
        // An EventSource may speak after it was closed: what came in the same chunk, or WebKit's after a return from its cache.
        if (source === current) heard(message);
        else current.close();
      });
    }

    function receive(message: MessageEvent<string>): void {
      // A new EventSource starts without an id. Once it has had one, an empty one is the server's.
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
    question?.abort();
    source?.close();
    question = undefined;
    source = undefined;
  }

  function opened(): void {
    openedAt = performance.now();
    headTells = undefined;
    refusal = {};
    watch();
    setStatus({ state: 'open' });
  }

  function failed(): void {
    if (source?.readyState === EventSource.OPEN) return; // the server sent an event of this name
    const wasOpen = status.state === 'open';
    if (wasOpen && performance.now() - openedAt >= STEADY_AFTER_MS) attempt = 0;
    if (source?.readyState === EventSource.CLOSED && headTells === undefined) return refused();
    if (source?.readyState === EventSource.CLOSED || !wasOpen || attempt > 0 || typeof url !== 'string')
      return fail();
    attempt = 1;
    setStatus({ state: 'reconnecting', attempt });
  }

  /** The browser gave up because of the answer, and does not say what it was. */
  function refused(): void {
    attempt += 1;
    void ask();
  }

  async function ask(): Promise<void> {
    disconnect();
    const current = new AbortController();
    question = current;
    timer = setTimeout(() => current.abort(), HEAD_TIMEOUT_MS);
    setStatus({ state: 'reconnecting', attempt, ...refusal });
    const answer = await head(current.signal);
    if (question !== current) return;
    if (answer && isFinal(answer.status)) return close({ status: answer.status });
    const isOutage = answer !== undefined && isTemporary(answer.status);
    if (headTells && !isOutage) {
      headTells = undefined;
      return connect();
    }
    headTells = isOutage;
    refusal = isOutage ? { status: answer.status } : {};
    backOff(isOutage ? retryAfterMs(answer) : 0);
  }

  function head(signal: AbortSignal): Promise<Response | undefined> {
    return fetch(address(), {
      method: 'HEAD',
      headers: { Accept: 'text/event-stream' },
      credentials: withCredentials ? 'include' : 'same-origin',
      cache: 'no-store',
      signal,
    }).catch(() => undefined); // no answer says nothing
  }

  function fail(): void {
    attempt += 1;
    backOff();
  }

  function backOff(leastMs = 0): void {
    disconnect();
    const longest = Math.min(BACKOFF_CAP_MS, BACKOFF_START_MS * 2 ** (attempt - 1));
    const delay = leastMs + Math.random() * longest;
    timer = setTimeout(tryAgain, delay);
    setStatus({ state: 'reconnecting', attempt, dueAt: Date.now() + delay, ...refusal });
  }

  function tryAgain(): void {
    // HEAD may be wrong about GET: every tenth attempt is a real one.
    if (attempt % 10 === 0) headTells = undefined;
    if (!headTells) return connect();
    attempt += 1;
    void ask();
  }

  /** Restarts the watchdog. */
  function watch(): void {
    heardAt = Date.now(); // goes on while the machine sleeps, as performance.now() need not
    clearTimeout(timer);
    // One more turn, because Firefox runs a late timer before the events that came before it.
    if (staleAfterMs < 2 ** 31) timer = setTimeout(() => (timer = setTimeout(fail)), staleAfterMs);
  }

  function pageChanged({ type }: Event): void {
    // For ever, or until the back/forward cache gives the page back; an open stream may cost it its place there.
    if (type === 'pagehide') return disconnect();
    if (type === 'visibilitychange' && isHidden() && !pauseWhenHidden) return;
    const isWaiting = status.state === 'reconnecting';
    const isSilent = Date.now() - heardAt >= staleAfterMs;
    if (pauseWhenHidden && isHidden()) connect();
    else if (!source || isWaiting || isSilent) tryAgain();
  }

  function address(): string {
    return withLastEventId(typeof url === 'string' ? url : url(), lastEventId);
  }

  function setStatus(next: Status): void {
    status = next;
    onStatus?.(next);
  }
}

const PAGE_EVENTS = ['visibilitychange', 'pagehide', 'pageshow', 'online'];

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Appends or replaces the parameter as text: the rest of the query may be signed. */
function withLastEventId(url: string, lastEventId: string): string {
  if (lastEventId === '') return url;
  const [address = ''] = url.split('#'); // a fragment is never sent
  const parameter = `lastEventId=${encodeURIComponent(lastEventId)}`;
  const replaced = address.replace(/([?&])lastEventId=[^&]*/, (_, mark: string) => mark + parameter);
  if (replaced !== address) return replaced;
  return `${address}${address.includes('?') ? '&' : '?'}${parameter}`;
}

/** 408 Request Timeout, 425 Too Early and 429 Too Many Requests pass, and so do the server's own errors but 501 Not Implemented. */
function isTemporary(status: number): boolean {
  return [408, 425, 429].includes(status) || (status >= 500 && status !== 501);
}

/** 204 No Content means that there is nothing to reconnect to (HTML 9.2.3). 405 speaks of HEAD alone. */
function isFinal(status: number): boolean {
  return status === 204 || (status >= 400 && status < 500 && status !== 405 && !isTemporary(status));
}

/** `Retry-After` (HTTP, RFC 9110, 10.2.3) is in seconds or a date. */
function retryAfterMs({ headers }: Response): number {
  const value = headers.get('Retry-After') ?? '';
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, RETRY_AFTER_CAP_MS) : 0;
}
