/* oxlint-disable unicorn/require-post-message-target-origin -- a BroadcastChannel has none */
import { subscribe as connect, type EventData, type Events, type Handlers } from '../../client/subscribe.ts';
import type { Status, SubscribeOptions, Subscription } from '../../client/subscribe.ts';

export interface OneConnectionOptions extends Omit<SubscribeOptions, 'pauseWhenHidden'> {
  /** How many of the last messages a tab that comes later is told. Default: 0. */
  keep?: number | undefined;
}

/** What tabs tell each other. `kept` is for those that have just come. */
type Told =
  | { came: true }
  | { turn: string }
  | { call: 'drop' | 'resume' }
  | { message: Message }
  | { status: Status; kept: Message[] };
type Message = Pick<MessageEvent<string>, 'type' | 'data' | 'lastEventId'>;

/**
 * `subscribe` with one connection for all tabs of the origin that ask for the same URL: the tab that holds a
 * lock connects, and tells the others. When it goes, the next one resumes after the last event. `pause` and
 * `close` concern only this tab, `drop` the connection. A tab that comes later, or was paused while others were
 * not, is told the status and the last `keep` messages that it has not seen, by their IDs. All tabs should have
 * handlers for the same events, because only those of the connected tab arrive. A tab whose `url` is a function,
 * or that may not use Web Locks, as over plain HTTP or in a sandbox, connects by itself. Limit: while the
 * connected tab is frozen, all wait; Chromium does not freeze one that others wait for.
 */
export function subscribe<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  { keep = 0, ...options }: OneConnectionOptions = {},
): Subscription {
  const locks = globalThis.navigator?.locks;
  if (!locks || typeof url !== 'string') return connect(url, handlers, options);
  const name = new URL(url, document.baseURI).href;
  const kept: Message[] = [];
  let handlerOf = handlers as Handlers;
  let last = options.lastEventId;
  let status: Status = { state: 'paused' }; // until it has joined
  let connection: Subscription | undefined; // in the tab that is connected
  let leave: () => void;
  let tell: (told: Told) => void;
  join();
  return {
    pause: () => set({ state: 'paused' }),
    resume,
    drop: () => tell({ call: 'drop' }),
    close: () => set({ state: 'closed' }),
    handle(next) {
      handlerOf = next as Handlers;
      connection?.handle(relays());
    },
    get status() {
      return status;
    },
  };

  function resume(): void {
    if (status.state === 'paused') join();
    else tell({ call: 'resume' });
  }

  function join(): void {
    const leaving = new AbortController();
    const { signal } = leaving;
    const left = new Promise((resolve) => signal.addEventListener('abort', resolve));
    const channel = new BroadcastChannel(name);
    const turn = crypto.randomUUID();
    let isNew = true;
    leave = () => {
      leaving.abort();
      connection?.close();
      connection = undefined;
      channel.close();
    };
    tell = (told) => {
      if (signal.aborted) return;
      channel.postMessage(told);
      hear(told);
    };
    channel.addEventListener('message', ({ data }: MessageEvent<Told>) => hear(data));
    addEventListener('pagehide', hide, { signal });
    set({ state: 'connecting' });
    tell({ came: true });
    locks
      .request(name, { signal }, () => {
        // A channel does not hear itself. When this is heard, so is all that the tab before has told.
        new BroadcastChannel(name).postMessage({ turn });
        return left;
      })
      .catch(() => signal.aborted || lead()); // in a sandbox no lock is granted, and no tab hears another

    function hear(told: Told): void {
      if ('came' in told) tellStatus();
      else if ('call' in told) connection?.[told.call]();
      else if ('message' in told && !isNew) take(told.message);
      else if ('turn' in told && told.turn === turn) lead();
      else if ('status' in told) {
        const ids = told.kept.map<string | undefined>(({ lastEventId }) => lastEventId);
        const seen = ids.lastIndexOf(last);
        const missed = isNew ? told.kept.slice(seen + 1) : [];
        isNew = false;
        set(told.status);
        for (const message of missed) if (!signal.aborted) take(message);
      }
    }
  }

  function lead(): void {
    const own = { lastEventId: last, pauseWhenHidden: false, onStatus: tellStatus };
    connection = connect(url, relays(), { ...options, ...own });
    tellStatus();
  }

  function tellStatus(): void {
    if (connection) tell({ status: connection.status, kept });
  }

  /** Handlers that tell the tabs of each message. */
  function relays(): Handlers {
    return Object.fromEntries(Object.keys(handlerOf).map((type) => [type, relay])) as Handlers;
  }

  function relay({ type, data, lastEventId }: MessageEvent<string>): void {
    tell({ message: { type, data, lastEventId } });
  }

  function take(message: Message): void {
    last = message.lastEventId || last;
    kept.push(message);
    if (kept.length > keep) kept.shift();
    handlerOf[message.type]?.(new MessageEvent(message.type, message));
  }

  /** The back/forward cache may give the page back. It keeps none that holds a lock. */
  function hide(): void {
    set({ state: 'paused' });
    addEventListener('pageshow', resume, { once: true });
  }

  function set(next: Status): void {
    if (status.state === 'closed' || JSON.stringify(next) === JSON.stringify(status)) return;
    if (next.state === 'paused' || next.state === 'closed') leave();
    status = next;
    options.onStatus?.(next);
  }
}
