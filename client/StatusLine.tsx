import { useEffect, useState, type ReactElement } from 'react';
import type { Status } from './subscribe.ts';
import type { Frame } from './frame.ts';

/** How long the page says that a reconnect lost nothing, ms. */
const RESUMED_SHOWN_MS = 5000;

/** The state of the subscription, in words and colour, as far as the subscription knows it. */
export function StatusLine({ status, frames }: { status: Status; frames: readonly Frame[] }): ReactElement {
  return (
    <p className="status" role="status" data-state={status.state}>
      {status.state}
      {status.state === 'reconnecting' && `, attempt ${status.attempt}`}
      {'dueAt' in status && <Countdown dueAt={status.dueAt} />}
      {status.state === 'open' && resumption(frames)}
    </p>
  );
}

/** Where the count went on after a reconnect, if that was just now. */
function resumption(frames: readonly Frame[]): string {
  const i = frames.findIndex(({ isLast }) => isLast);
  const [newest, first, last] = [frames[0], frames[i - 1], frames[i]];
  if (!newest || !first || !last || newest.time - first.time > RESUMED_SHOWN_MS) return '';
  const lost = Number(first.id) - Number(last.id) - 1;
  return `, went on from ${last.id} with ${lost === 0 ? 'nothing' : lost} lost`;
}

/** Seconds until `dueAt`, for the eyes: a screen reader would read out every one of them. */
function Countdown({ dueAt }: { dueAt: number }): ReactElement {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return <span aria-hidden="true">, next in {Math.max(0, Math.ceil((dueAt - now) / 1000))} s</span>;
}
