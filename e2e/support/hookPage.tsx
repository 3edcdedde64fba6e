import {
  Profiler,
  StrictMode,
  Suspense,
  use,
  useEffect,
  useLayoutEffect,
  useState,
  type ReactElement,
} from 'react';
import { createRoot } from 'react-dom/client';
import type { Status } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';

declare global {
  interface Window {
    /** What the tests steer and read. */
    hook: {
      url: string;
      label: string;
      /** Renders with the `url` and `label` that stand here now. */
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
      /** Data of each message, with the label of the render whose handler got it. */
      received: string[];
      /** What each commit showed. */
      commits: string[];
    };
  }
}

function Subscriber({ url, label }: { url: string; label: string }): ReactElement {
  const [text, setText] = useState('');
  const { status, pause, resume } = useEventSource(url, {
    message({ data }) {
      window.hook.received.push(`${label}:${data}`);
      setText(data);
    },
  });
  Object.assign(window.hook, { status, pause, resume });
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
  render() {
    root.render(
      <StrictMode>
        <Suspense fallback="waiting">
          <Subscriber url={window.hook.url} label={window.hook.label} />
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
  status: { state: 'connecting' },
  received: [],
  commits: [],
};
window.hook.render();
