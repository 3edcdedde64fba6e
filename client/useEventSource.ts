import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import {
  subscribe,
  type Events,
  type EventSourceOptions,
  type Handlers,
  type Status,
  type Subscription,
} from './subscribe.ts';

/** The status of a subscription and what a page can do with it. */
export interface SubscriptionState extends Pick<Subscription, 'pause' | 'resume' | 'drop'> {
  status: Status;
}

/**
 * Subscribes to the event stream at `url` while the component is mounted; see `subscribe`. Handlers may change at
 * every render without a reconnect. Each message is one render: two that arrive together do not become one.
 * Another `url` is another stream: it starts from its beginning, and not paused. Which events there are, and the options,
 * are those of the first render with a `url`.
 */
export function useEventSource<E extends Events = Events>(
  url: string,
  on: Handlers<E>,
  options?: Omit<EventSourceOptions, 'onStatus'>,
): SubscriptionState;
export function useEventSource(
  url: string,
  on: Handlers,
  options: Omit<EventSourceOptions, 'onStatus'> = {},
): SubscriptionState {
  const [status, setStatus] = useState<Status>({ state: 'connecting' });
  const [paused, setPaused] = useState(false);

  const latest = useRef({ url, on });
  useLayoutEffect(() => {
    latest.current = { url, on };
  });

  // State, not an effect's variable: the last event ID outlives StrictMode's second mount and a hot update.
  const [source, setSource] = useState(create);
  if (source.url !== url) {
    setSource(create);
    setStatus({ state: 'connecting' });
    setPaused(false);
  }

  function handle(message: MessageEvent<string>): void {
    // Between a render with another `url` and its effect, a message of the old stream may still arrive.
    if (latest.current.url === url) flushSync(() => latest.current.on[message.type]?.(message));
  }
  function create(): Subscription {
    const handlers = Object.fromEntries(Object.keys(on).map((type) => [type, handle]));
    return subscribe(url, handlers, { ...options, onStatus: setStatus });
  }

  // Not a layout effect: those stop while a Suspense boundary shows its fallback.
  useEffect(() => {
    if (paused) return;
    source.resume();
    return source.pause;
  }, [source, paused]);

  return { status, pause: () => setPaused(true), resume: () => setPaused(false), drop: source.drop };
}
