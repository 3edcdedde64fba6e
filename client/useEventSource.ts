import { useCallback, useEffect, useInsertionEffect, useRef, useState } from 'react';
import { subscribe } from './subscribe'; // with .ts, most projects would have to change their tsconfig
import type { EventData, Events, Handlers, Status, SubscribeOptions, Subscription } from './subscribe';

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
 * opens another stream, from its beginning or after `lastEventId`, and undoes `pause`. The other options are
 * fixed when a stream first connects.
 *
 * React batches updates, so several events may cause one render. To render for every event, call `flushSync`
 * in the handler.
 */
export function useEventSource<E extends EventData<E> = Events>(
  url: string | (() => string),
  handlers: Handlers<E>,
  options: EventSourceOptions = {},
): SubscriptionState {
  const { enabled = true } = options;
  const key = typeof url === 'string' ? url : undefined; // a function is the same stream at each render
  const start: Status = { state: enabled ? 'connecting' : 'paused' };
  const [status, setStatus] = useState<Status>(start);
  const [isPaused, setIsPaused] = useState(false);
  const [stream, setStream] = useState(() => createStream(key, setStatus));
  if (stream.key !== key) {
    setStream(createStream(key, setStatus));
    setIsPaused(false);
    setStatus(start);
  }

  // A layout effect warns on React 18's server; a passive one may run after the first event.
  const shown = useRef(stream);
  useInsertionEffect(() => {
    // The stream of the last `url` stays open until this commit's effects run: it must tell nothing more.
    if (shown.current !== stream) shown.current.follow();
    shown.current = stream;
    stream.follow({ url, handlers: handlers as Handlers, options });
  });

  useEffect(() => (enabled && !isPaused ? stream.connect() : undefined), [stream, enabled, isPaused]);

  const pause = useCallback(() => setIsPaused(true), []);
  const resume = useCallback(() => {
    setIsPaused(false);
    shown.current.retry();
  }, []);
  const drop = useCallback(() => shown.current.drop(), []);
  return { status, pause, resume, drop };
}

/** The arguments of a render. */
interface Given {
  url: string | (() => string);
  handlers: Handlers;
  options: EventSourceOptions;
}

/** The stream of one `url`. It is state, so that the last event ID survives StrictMode and a hidden Activity. */
function createStream(key: string | undefined, setStatus: (status: Status) => void) {
  let given: Given | undefined;
  let subscription: Subscription | undefined;
  return {
    key,
    /** Uses what the newest render gave. Without it, the stream tells nothing more. */
    follow(next?: Given): void {
      given = next;
      subscription?.handle(next?.handlers ?? {});
    },
    /** Connects, or resumes after the last event. Returns what pauses. */
    connect(): () => void {
      if (subscription) subscription.resume();
      else subscription = subscribe(key ?? address, given?.handlers ?? {}, { ...given?.options, onStatus });
      return subscription.pause;
    },
    /** Ends a wait for the next attempt. */
    retry(): void {
      if (subscription?.status.state === 'reconnecting') subscription.resume();
    },
    drop: () => subscription?.drop(),
  };

  function address(): string {
    return typeof given?.url === 'function' ? given.url() : '';
  }

  function onStatus(status: Status): void {
    if (!given) return;
    setStatus(status);
    given.options.onStatus?.(status);
  }
}
