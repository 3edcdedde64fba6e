import { useCallback, useEffect, useInsertionEffect, useRef, useState } from 'react';
import {
  subscribe,
  type EventData,
  type Events,
  type Handlers,
  type Status,
  type SubscribeOptions,
  type Subscription,
} from './subscribe';

/** The status of a subscription, and what a page can do with it. The functions are stable. */
export interface SubscriptionState extends Pick<Subscription, 'pause' | 'resume' | 'drop'> {
  status: Status;
}

export interface EventSourceOptions extends SubscribeOptions {
  /** Whether to be connected. `false` pauses: the stream later resumes where it was. Default: true. */
  enabled?: boolean | undefined;
}

/**
 * Subscribes to the event stream at `url` while the component is mounted; see `subscribe`. Handlers,
 * `onStatus` and a function as `url` may change at every render without a reconnect. Changing a string `url`
 * opens another stream, from its beginning or after `lastEventId`, and undoes `pause`. The other options, and
 * the names of the events, are fixed at the first render with a given `url`.
 *
 * React batches updates, so several events may cause one render. To render for every event, call `flushSync`
 * in the handler.
 */
export function useEventSource<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  options?: EventSourceOptions,
): SubscriptionState;
export function useEventSource(
  url: string | (() => string),
  handlers: Handlers,
  options: EventSourceOptions = {},
): SubscriptionState {
  const { enabled = true } = options;
  const key = typeof url === 'string' ? url : undefined;
  const [status, setStatus] = useState<Status>({ state: enabled ? 'connecting' : 'paused' });
  const [paused, setPaused] = useState(false);
  const [lastKey, setLastKey] = useState(key);
  if (key !== lastKey) {
    setLastKey(key);
    setPaused(false);
    setStatus({ state: enabled ? 'connecting' : 'paused' });
  }

  // Layout effects warn on React 18's server, and a passive one may run after the first event.
  const latest = useRef({ key, url, handlers, options });
  useInsertionEffect(() => {
    latest.current = { key, url, handlers, options };
  });

  // A ref, so that the last event ID survives StrictMode's second mount and a hidden Activity.
  const held = useRef<{ key: string | undefined; subscription: Subscription }>(undefined);
  useEffect(() => {
    if (!enabled || paused) return;
    if (held.current === undefined || held.current.key !== key) {
      held.current = { key, subscription: start(latest, setStatus) };
    } else {
      held.current.subscription.resume();
    }
    return held.current.subscription.pause;
  }, [key, enabled, paused]);

  const pause = useCallback(() => setPaused(true), []);
  const resume = useCallback(() => setPaused(false), []);
  const drop = useCallback(() => held.current?.subscription.drop(), []);
  return { status, pause, resume, drop };
}

interface Latest {
  key: string | undefined;
  url: string | (() => string);
  handlers: Handlers;
  options: EventSourceOptions;
}

/** Subscribes with handlers that call the newest ones. */
function start(latest: { readonly current: Latest }, setStatus: (status: Status) => void): Subscription {
  const { key, handlers, options } = latest.current;
  const names = Object.keys(handlers);
  return subscribe(key ?? address, Object.fromEntries(names.map((name) => [name, receive])), {
    ...options,
    onStatus,
  });

  function address(): string {
    const { url } = latest.current;
    return typeof url === 'string' ? url : url();
  }

  function receive(message: MessageEvent<string>): void {
    // Between a render with another `url` and its effect, the old stream is still open.
    if (latest.current.key === key) latest.current.handlers[message.type]?.(message);
  }

  function onStatus(status: Status): void {
    if (latest.current.key !== key) return;
    setStatus(status);
    latest.current.options.onStatus?.(status);
  }
}
