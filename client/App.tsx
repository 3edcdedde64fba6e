import { useState, type ReactElement } from 'react';
import { flushSync } from 'react-dom';
import { ConnectionControls } from './ConnectionControls.tsx';
import { Count } from './Count.tsx';
import { type Frame, withBreak, withFrame } from './frame.ts';
import { Frames } from './Frames.tsx';
import { Rhythm } from './Rhythm.tsx';
import { StatusLine } from './StatusLine.tsx';
import { useEventSource } from './useEventSource.ts';

/** A few ticks, and longer than the longest delay that a draining server asks for (`DRAIN_WINDOW_MS` in server/app.ts). */
const STALE_AFTER_MS = 5000;

/** The whole page. */
export function App(): ReactElement {
  const [count, setCount] = useState(0);
  const [frames, setFrames] = useState<readonly Frame[]>([]);
  const [problem, setProblem] = useState('');
  const subscription = useEventSource(
    '/count',
    { message: (message) => flushSync(() => show(message)) },
    { staleAfterMs: STALE_AFTER_MS },
  );
  const { status } = subscription;
  if (status.state !== 'open' && frames[0]?.isLast === false) setFrames(withBreak);

  function show(message: MessageEvent<string>): void {
    setFrames((before) => withFrame(before, message));
    const isNumber = /^\d+$/.test(message.data);
    if (isNumber) setCount(Number(message.data));
    setProblem(isNumber ? '' : `Expected a number, found ${JSON.stringify(message.data.slice(0, 80))}`);
  }

  return (
    <main>
      <section className="hero">
        <h1>Server-sent events</h1>
        <Count value={count} />
        <StatusLine status={status} frames={frames} />
        {problem && <p role="alert">{problem}</p>}
        <ConnectionControls subscription={subscription} />
        <Rhythm frames={frames} />
      </section>
      <Frames frames={frames} />
    </main>
  );
}
