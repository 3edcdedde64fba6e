import { useCallback, useEffect, useRef, useState } from 'react';
import {
  subscribe,
  type EventData,
  type Events,
  type Handlers,
  type Status,
  type SubscribeOptions,
  type Subscription,
} from './subscribe.ts';

/** The status of a subscription and what a page can do with it. The three functions are stable. */
export interface SubscriptionState extends Pick<Subscription, 'pause' | 'resume' | 'drop'> {
  status: Status;
}

export interface EventSourceOptions extends SubscribeOptions {
  /** Whether to subscribe. While this is false there is no connection; the place in the stream is kept. Default: true. */
  enabled?: boolean | undefined;
}

/**
 * Subscribes to the event stream at `url` while the component is mounted; see `subscribe`. Handlers, and a function as `url`,
 * may change at every render without a reconnect. Another string is another stream, which starts from its beginning.
 * The names of the events and the options are those of the first render with a `url`.
 *
 * React batches renders. Call `flushSync` in a handler that needs a render for each message.
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
  const [current, setCurrent] = useState(key);
  if (current !== key) {
    setCurrent(key);
    setPaused(false);
    setStatus({ state: enabled ? 'connecting' : 'paused' });
  }

  const latest = useRef({ url, handlers, options });
  useEffect(() => {
    latest.current = { url, handlers, options };
  });

  // A ref, so that the last event ID survives StrictMode's second mount and a hidden Activity.
  const held = useRef<{ key: string | undefined; subscription: Subscription }>(undefined);
  useEffect(() => {
    if (!enabled || paused) return;
    if (held.current?.key === key && held.current) held.current.subscription.resume();
    else held.current = { key, subscription: start() };
    return held.current.subscription.pause;

    function start(): Subscription {
      const names = Object.keys(latest.current.handlers);
      return subscribe(key ?? askUrl, Object.fromEntries(names.map((name) => [name, handle])), {
        ...latest.current.options,
        onStatus: changed,
      });
    }
    function askUrl(): string {
      const asked = latest.current.url;
      return typeof asked === 'string' ? asked : asked();
    }
    function handle(message: MessageEvent<string>): void {
      latest.current.handlers[message.type]?.(message);
    }
    function changed(next: Status): void {
      setStatus(next);
      latest.current.options.onStatus?.(next);
    }
  }, [key, enabled, paused]);

  const pause = useCallback(() => setPaused(true), []);
  const resume = useCallback(() => setPaused(false), []);
  const drop = useCallback(() => held.current?.subscription.drop(), []);
  return { status, pause, resume, drop };
}
