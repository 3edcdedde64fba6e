import { useState, type ReactElement } from 'react';
import { Frames, type Frame } from './Frames.tsx';
import { StatusLine } from './StatusLine.tsx';
import { useEventSource } from './useEventSource.ts';

/** A few ticks, and longer than the longest delay that a draining server asks for (`DRAIN_WINDOW_MS` in server/app.ts). */
const STALE_AFTER_MS = 5000;

const FRAMES_SHOWN = 50;

/** The whole page. */
export function App(): ReactElement {
  const [count, setCount] = useState(0);
  const [frames, setFrames] = useState<Frame[]>([]);
  const [problem, setProblem] = useState('');
  const { status, pause, resume } = useEventSource(
    '/count',
    { message: show },
    { staleAfterMs: STALE_AFTER_MS },
  );

  function show({ lastEventId: id, type, data, timeStamp }: MessageEvent<string>): void {
    setFrames((before) =>
      [{ id, type, data, time: performance.timeOrigin + timeStamp }, ...before].slice(0, FRAMES_SHOWN),
    );
    const isNumber = /^\d+$/.test(data);
    if (isNumber) setCount(Number(data));
    setProblem(isNumber ? '' : `Expected a number, found ${JSON.stringify(data.slice(0, 80))}`);
  }

  return (
    <main>
      <h1>Server-sent events</h1>
      <p className="count" role="timer">
        {count}
      </p>
      <StatusLine status={status} />
      {problem && <p role="alert">{problem}</p>}
      <button onClick={status.state === 'paused' ? resume : pause} disabled={status.state === 'closed'}>
        {status.state === 'paused' ? 'Resume' : 'Pause'}
      </button>
      <Frames frames={frames} />
    </main>
  );
}
