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

/** What the tests of useEventSource steer and read. */
type Hook = ReturnType<typeof newHook>;

declare global {
  interface Window {
    /** Mounts a subscriber; `given` is what of `hook` is another from the first render on. */
    mount: (given: Partial<Hook>) => void;
    hook: Hook;
  }
}

function Subscriber(): ReactElement {
  const [text, setText] = useState('');
  const { hook } = window;
  const { url, label, enabled, extra, isAsked, isFlushed, lastEventId } = hook;
  const { status, pause, resume, drop } = useEventSource(
    isAsked ? () => `${url}?label=${label}` : url,
    {
      message({ data }) {
        hook.received.push(`${label}:${data}`);
        if (isFlushed) flushSync(() => setText(data));
        else setText(data);
      },
      ...(extra && { [extra]: ({ data }: MessageEvent) => hook.received.push(`${extra}:${data}`) }),
    },
    { enabled, lastEventId, onStatus: ({ state }) => hook.told.push(`${label}:${state}`) },
  );
  Object.assign(hook, { status, pause, resume, drop });
  for (const action of [pause, resume, drop]) hook.actions.add(action);
  useEffect(() => void (window.hook.mounts += 1), []);
  useLayoutEffect(() => void hook.onCommit());
  return (
    <Profiler id="subscriber" onRender={() => hook.commits.push(text)}>
      <p>{text}</p>
    </Profiler>
  );
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

function newHook() {
  const root = createRoot(document.body);
  return {
    // What the next render uses.
    url: '/stream',
    label: 'first',
    enabled: true,
    lastEventId: undefined as string | undefined,
    /** Another event that has a handler. */
    extra: '',
    /** Whether the `url` is a function, another one at each render. */
    isAsked: false,
    /** Whether the subscriber is in a hidden Activity. */
    isHidden: false,
    /** Whether the handler asks for a render of its own. */
    isFlushed: false,
    /** What the render waits for, with a fallback on the page. */
    pending: undefined as Promise<void> | undefined,
    /** Called in each commit, after the hook's own layout effects. */
    onCommit: nothing,
    render() {
      root.render(
        <StrictMode>
          <Suspense fallback="waiting">
            <Activity mode={window.hook.isHidden ? 'hidden' : 'visible'}>
              <Subscriber />
            </Activity>
            <Pending />
          </Suspense>
        </StrictMode>,
      );
    },
    unmount: () => root.unmount(),

    // What the hook gave.
    status: { state: 'connecting' } as Status,
    pause: nothing,
    resume: nothing,
    drop: nothing,
    /** The three functions of each render. */
    actions: new Set<() => void>(),

    // What happened.
    /** Every EventSource that was made. */
    sources: [] as EventSource[],
    /** How often it was mounted: twice under StrictMode. */
    mounts: 0,
    /** What `onStatus` was told, with the label of the render whose it was. */
    told: [] as string[],
    /** Data of each message, with the label of the render whose handler got it. */
    received: [] as string[],
    /** What each commit showed. */
    commits: [] as string[],
  };
}

function nothing(): void {}

window.mount = (given) => {
  Math.random = () => 0.1;
  window.hook = { ...newHook(), ...given };
  window.hook.render();
};
