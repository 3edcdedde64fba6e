import {
  subscribe as connect,
  type EventData,
  type Events,
  type Handlers,
  type Status,
  type SubscribeOptions,
  type Subscription,
} from '../../client/subscribe.ts';

export interface OneConnectionOptions extends Omit<SubscribeOptions, 'pauseWhenHidden'> {
  /** How many of the last messages a tab that comes later is told. Default: 0. */
  keep?: number | undefined;
}

/** What tabs tell each other. `kept` is for those that have just come. */
type Told =
  | { came: number }
  | { call: 'drop' | 'resume' }
  | { message: Message }
  | { status: Status; kept?: Message[] };
type Message = [type: string, data: string, lastEventId: string];

/**
 * `subscribe` with one connection for all tabs of the origin that ask for the same URL: the tab that holds a
 * lock connects, and tells the others. When it goes, the next one resumes after the last event. `pause` and
 * `close` concern only this tab, `drop` the connection. A tab that comes later, or was paused while others were
 * not, is told the status and the last `keep` messages that it has not seen. All tabs should have handlers for
 * the same events, because only those of the connected tab arrive. A tab whose `url` is a function, or that has
 * no Web Locks, as over plain HTTP, connects by itself. Limit: while the connected tab is frozen, all wait;
 * Chromium does not freeze one that others wait for.
 */
export function subscribe<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  { keep = 0, ...options }: OneConnectionOptions = {},
): Subscription {
  const locks = globalThis.navigator?.locks;
  if (!locks || typeof url !== 'string') return connect(url, handlers, options);
  const name = new URL(url, document.baseURI).href;
  let handlerOf = handlers as Handlers;
  let last = options.lastEventId;
  let status: Status = { state: 'paused' }; // until it has joined
  let kept: Message[] = [];
  let connection: Subscription | undefined; // in the tab that is connected
  let leave = nothing;
  let tell: (told: Told) => void = nothing;
  join();
  return {
    pause,
    resume,
    drop: () => tell({ call: 'drop' }),
    close() {
      leave();
      set({ state: 'closed' });
    },
    handle(next) {
      handlerOf = next as Handlers;
      connection?.handle(relays());
    },
    get status() {
      return status;
    },
  };

  function pause(): void {
    leave();
    set({ state: 'paused' });
  }

  function resume(): void {
    if (status.state === 'paused') join();
    else tell({ call: 'resume' });
  }

  function join(): void {
    const leaving = new AbortController();
    const { signal } = leaving;
    const left = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    // A channel does not hear itself. With two, all tabs hear the same in the same order, the connected one, too.
    const [mouth, ear] = [new BroadcastChannel(name), new BroadcastChannel(name)];
    let isNew = true;
    const early: Message[] = []; // came before the answer
    let turn = 0;
    ear.addEventListener('message', ({ data }: MessageEvent<Told>) => hear(data));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- channels have none
    tell = (told) => mouth.postMessage(told);
    leave = () => {
      leave = tell = nothing;
      leaving.abort();
      connection?.close();
      connection = undefined;
      mouth.close();
      ear.close();
    };
    addEventListener('pagehide', hide, { signal });
    set({ state: 'connecting' });
    tell({ came: turn });
    locks
      .request(name, { signal }, () => {
        turn = Math.random();
        tell({ came: turn }); // when this is heard, all has been heard that the tab before has told
        return left;
      })
      .catch(nothing);

    function hear(told: Told): void {
      if (signal.aborted) return;
      if ('came' in told) {
        if (told.came === turn && turn > 0) lead();
        else if (connection) tell({ status, kept });
      } else if ('call' in told) {
        connection?.[told.call]();
      } else if ('message' in told) {
        if (isNew) early.push(told.message);
        else take(told.message);
      } else if (told.kept === undefined) {
        set(told.status);
        if (told.status.state === 'closed') leave();
      } else if (isNew) {
        isNew = false;
        for (const list of [told.kept, early]) for (const message of unseen(list)) hear({ message });
        hear({ status: told.status });
      }
    }

    function lead(): void {
      const onStatus = (next: Status): void => tell({ status: next });
      const own = { lastEventId: last, pauseWhenHidden: false, onStatus };
      connection = connect(url, relays(), { ...options, ...own });
      tell({ status: connection.status, kept });
    }
  }

  function unseen(messages: Message[]): Message[] {
    return messages.slice(messages.findLastIndex(([, , id]) => id === last) + 1);
  }

  function take([type, data, lastEventId]: Message): void {
    last = lastEventId || last;
    kept.push([type, data, lastEventId]);
    if (kept.length > keep) kept.shift();
    handlerOf[type]?.(new MessageEvent(type, { data, lastEventId }));
  }

  /** Handlers that tell the tabs of each message. */
  function relays(): Handlers {
    return Object.fromEntries(Object.keys(handlerOf).map((type) => [type, relay])) as Handlers;
  }

  function relay({ type, data, lastEventId }: MessageEvent<string>): void {
    tell({ message: [type, data, lastEventId] });
  }

  /** The back/forward cache may give the page back. It keeps none that holds a lock. */
  function hide(): void {
    pause();
    addEventListener('pageshow', resume, { once: true });
  }

  function set(next: Status): void {
    if (status.state === 'closed') return;
    if (next.state === status.state && next.state !== 'reconnecting') return;
    status = next;
    options.onStatus?.(next);
  }
}

function nothing(): void {}
