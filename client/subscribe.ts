/** The name of the last event of a stream that is finished for good. */
export const END_EVENT = 'end';

/** A new attempt comes after a random part of this time, which is multiplied by the factor at each failure up to the cap. */
export const BACKOFF_START_MS = 1000;
export const BACKOFF_FACTOR = 2;
export const BACKOFF_CAP_MS = 5000;

/**
 * What a subscription knows of its connection. `attempt` counts from the last message on; `dueAt` (ms since the epoch)
 * is missing while an attempt is under way or when only the browser knows.
 */
export type Status =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'reconnecting'; attempt: number }
  | { state: 'reconnecting'; attempt: number; dueAt: number }
  | { state: 'paused' }
  | { state: 'closed' };

/** What data each event brings; the server's `Events` fits. `message` is the type of what was sent without one (HTML 9.2.6). */
export type Events = Record<string, string | number>;

/** A handler for each event: one that nobody hears is silence to the watchdog, and its id is lost. */
export type Handlers<E extends Events = Events> = {
  readonly [Type in keyof E]: (message: MessageEvent<Text<E[Type]>>) => void;
};

/** On the wire a number is text too. */
type Text<Data> = Data extends number ? `${Data}` : Data;

/** Reads what the server's `json` wrote. Throws a `SyntaxError` where that is no JSON; it does not check the type. */
export function parse<Value>(text: string & { readonly __json: Value }): Value {
  return JSON.parse(text);
}

export interface EventSourceOptions {
  /** Called at every change of the status. */
  onStatus?: (status: Status) => void;
  /**
   * Silence after which a connection is dead whatever its state says, ms. Longer than any pause of the server, and than
   * a pause and the longest reconnection time that it asks for together. Default: never.
   */
  staleAfterMs?: number;
  /** Whether to let go of the connection while the page is hidden. Default: no. */
  pauseWhenHidden?: boolean;
}

/** A subscription to one event stream: paused at first, and closed for good by the server's event `end`. */
export interface Subscription {
  readonly url: string;
  /** Connects and goes on after the last message seen. */
  resume(): void;
  /** Lets go of the connection; it may be left so for ever. */
  pause(): void;
  /** Drops the connection that there is and comes back after a backoff, as when it had died. */
  drop(): void;
}

/**
 * Subscribes to the event stream at `url` and never gives up: every message is handed on once and in order, as long as the
 * server goes on after the last event ID (HTML 9.2.4). A cut connection is left to the browser, which reconnects with the
 * header `Last-Event-ID`. Where the browser gives up or the stream falls silent, a new EventSource with `?lastEventId=`
 * follows after an exponential backoff with full jitter; a page that wakes up or is back online does not wait for it.
 */
export function subscribe<E extends Events = Events>(
  url: string,
  on: Handlers<E>,
  options?: EventSourceOptions,
): Subscription;
export function subscribe(url: string, on: Handlers, options: EventSourceOptions = {}): Subscription {
  const { onStatus, staleAfterMs = Infinity, pauseWhenHidden = false } = options;
  let running = false;
  let finished = false;
  let source: EventSource | undefined;
  let lastEventId = '';
  let attempt = 0;
  let heardAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return { url, resume, pause, drop };

  function resume(): void {
    if (running || finished) return;
    running = true;
    for (const type of PAGE_EVENTS) globalThis.addEventListener?.(type, pageChanged);
    attempt = 0;
    connect();
  }

  function pause(): void {
    if (!running) return;
    running = false;
    for (const type of PAGE_EVENTS) globalThis.removeEventListener?.(type, pageChanged);
    disconnect();
    onStatus?.({ state: finished ? 'closed' : 'paused' });
  }

  function drop(): void {
    if (source) backOff();
  }

  function connect(): void {
    disconnect();
    if (pauseWhenHidden && isHidden()) {
      onStatus?.({ state: 'paused' });
      return;
    }
    const current = new EventSource(withLastEventId(url, lastEventId));
    source = current;
    // Not every EventSource is silent once it is closed: what came in the same chunk may follow.
    const listen = (type: string, heard: (message: MessageEvent<string>) => void): void =>
      current.addEventListener(type, (message) => source === current && heard(message));
    listen('open', opened);
    listen('error', failed);
    for (const type of Object.keys(on)) listen(type, receive);
    listen(END_EVENT, finish);
    watch();
    onStatus?.(attempt === 0 ? { state: 'connecting' } : { state: 'reconnecting', attempt });
  }

  function disconnect(): void {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  }

  function opened(): void {
    watch();
    onStatus?.({ state: 'open' });
  }

  function receive(message: MessageEvent<string>): void {
    // A new EventSource starts without an id, and messages need not carry one.
    lastEventId = message.lastEventId || lastEventId;
    attempt = 0;
    watch();
    on[message.type]?.(message);
  }

  function failed(): void {
    if (source?.readyState === EventSource.CLOSED) return backOff();
    if (source?.readyState === EventSource.OPEN) return; // the server sent an event of this name
    attempt += 1;
    onStatus?.({ state: 'reconnecting', attempt });
  }

  function finish(): void {
    finished = true;
    pause();
  }

  /** Starts the watchdog anew. */
  function watch(): void {
    heardAt = Date.now(); // goes on while the machine sleeps, as performance.now() need not
    clearTimeout(timer);
    if (staleAfterMs < Infinity) timer = setTimeout(backOff, staleAfterMs);
  }

  function backOff(): void {
    disconnect();
    const delay = Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_START_MS * BACKOFF_FACTOR ** attempt);
    attempt += 1;
    timer = setTimeout(connect, delay);
    onStatus?.({ state: 'reconnecting', attempt, dueAt: Date.now() + delay });
  }

  function pageChanged({ type }: Event): void {
    // For ever, or until the back/forward cache gives the page back; a stream that goes on may cost it its place there.
    if (type === 'pagehide') return disconnect();
    if (type === 'visibilitychange' && isHidden() && !pauseWhenHidden) return;
    const isWaiting = attempt > 0 && source?.readyState !== EventSource.OPEN;
    const isSilent = Date.now() - heardAt >= staleAfterMs;
    if (!source || isWaiting || isSilent || (pauseWhenHidden && isHidden())) connect();
  }
}

const PAGE_EVENTS = ['visibilitychange', 'pagehide', 'pageshow', 'online'];

function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

function withLastEventId(url: string, lastEventId: string): string {
  if (lastEventId === '') return url;
  const resumed = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  resumed.searchParams.set('lastEventId', lastEventId);
  return resumed.href;
}
