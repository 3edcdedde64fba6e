import {
  Activity,
  Profiler,
  StrictMode,
  Suspense,
  use,
  useEffect,
  useLayoutEffect,
  useState,
  type ReactElement,
} from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import type { Status } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';

declare global {
  interface Window {
    /** What of `hook` is another from the first render on. */
    given?: Partial<Window['hook']>;
    /** What the tests steer and read. */
    hook: {
      url: string;
      label: string;
      enabled: boolean;
      lastEventId?: string;
      /** Another event that has a handler. */
      extra?: string;
      /** Whether the `url` is a function, another one at each render. */
      isAsked: boolean;
      /** Whether the subscriber is in a hidden Activity. */
      isHidden: boolean;
      /** Whether the handler asks for a render of its own. */
      isFlushed: boolean;
      /** How long a render takes, ms. */
      renderMs: number;
      /** Renders with what stands here now. */
      render: () => void;
      unmount: () => void;
      /** Every EventSource that was made. */
      sources: EventSource[];
      /** What the next render waits for, with a fallback on the page. */
      pending?: Promise<void>;
      /** Called in each commit, after the hook's own layout effects. */
      onCommit?: () => void;
      /** How often it was mounted: twice under StrictMode. */
      mounts: number;
      pause: () => void;
      resume: () => void;
      status: Status;
      drop: () => void;
      /** The three functions of each render. */
      actions: Set<() => void>;
      /** What `onStatus` was told. */
      told: string[];
      /** Data of each message, with the label of the render whose handler got it. */
      received: string[];
      /** What each commit showed. */
      commits: string[];
    };
  }
}

interface SubscriberProps {
  url: string;
  label: string;
  enabled: boolean;
}

function Subscriber({ url, label, enabled }: SubscriberProps): ReactElement {
  const [text, setText] = useState('');
  const { hook } = window;
  const { status, pause, resume, drop } = useEventSource(
    hook.isAsked ? () => `${url}?label=${label}` : url,
    {
      message({ data }) {
        hook.received.push(`${label}:${data}`);
        if (hook.isFlushed) flushSync(() => setText(data));
        else setText(data);
      },
      ...(hook.extra && {
        [hook.extra]: ({ data }: MessageEvent) => hook.received.push(`${hook.extra}:${data}`),
      }),
    },
    {
      enabled,
      onStatus: ({ state }) => hook.told.push(`${label}:${state}`),
      ...(hook.lastEventId !== undefined && { lastEventId: hook.lastEventId }),
    },
  );
  Object.assign(hook, { status, pause, resume, drop });
  for (const action of [pause, resume, drop]) hook.actions.add(action);
  work(hook.renderMs);
  useEffect(() => {
    window.hook.mounts += 1;
  }, []);
  useLayoutEffect(() => {
    window.hook.onCommit?.();
  });
  return (
    <Profiler id="subscriber" onRender={() => window.hook.commits.push(text)}>
      <p>{text}</p>
    </Profiler>
  );
}

function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function Pending(): null {
  if (window.hook.pending) use(window.hook.pending);
  return null;
}

globalThis.EventSource = class extends EventSource {
  constructor(...given: ConstructorParameters<typeof EventSource>) {
    super(...given);
    window.hook.sources.push(this);
  }
};

const root = createRoot(document.body);
window.hook = {
  url: '/stream',
  label: 'first',
  enabled: true,
  isAsked: false,
  isHidden: false,
  isFlushed: false,
  renderMs: 0,
  render() {
    root.render(
      <StrictMode>
        <Suspense fallback="waiting">
          <Activity mode={window.hook.isHidden ? 'hidden' : 'visible'}>
            <Subscriber url={window.hook.url} label={window.hook.label} enabled={window.hook.enabled} />
          </Activity>
          <Pending />
        </Suspense>
      </StrictMode>,
    );
  },
  unmount: () => root.unmount(),
  sources: [],
  mounts: 0,
  pause() {},
  resume() {},
  drop() {},
  actions: new Set(),
  told: [],
  status: { state: 'connecting' },
  received: [],
  commits: [],
  ...window.given,
};
window.hook.render();
