import { useEffect, useReducer, useState, type CSSProperties, type ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { LastMessage, Responses } from './Responses.tsx';
import { update, type Received } from './rows.ts';
import type { Status } from './subscribe.ts';
import { useEventSource } from './useEventSource.ts';

/** Longer than `HEARTBEAT_MS` and `DRAIN_WINDOW_MS` in server/app.ts together, or it would cut good streams. */
const STALE_AFTER_MS = 10_000;

/** Where the tab keeps the last event ID, so that a reload goes on after it. */
const STORAGE_KEY = 'last event ID of /count';

/** The whole page. */
export function App(): ReactNode {
  const [received, tell] = useReducer(update, undefined, begin);
  const { status, pause, resume, drop } = useEventSource(
    '/count',
    { message: show },
    { staleAfterMs: STALE_AFTER_MS, lastEventId: received.lastEventId, onStatus: tell },
  );
  const { state } = status;
  const action = state === 'open' ? cut : state === 'reconnecting' ? resume : undefined;
  const messages = received.rows.toReversed().flatMap((row) => row.messages);
  const count = messages.findLast(({ data }) => /^\d+$/.test(data))?.data ?? '';

  function show(message: MessageEvent<string>): void {
    if (message.lastEventId !== '') tabStorage()?.setItem(STORAGE_KEY, message.lastEventId);
    flushSync(() => tell(message)); // a render for each message: React would batch those that arrive together
  }

  function cut(): void {
    tell({ state: 'cut' });
    drop();
  }

  return (
    <main>
      <header>
        <h1>Server-sent events</h1>
        <p>One HTTP response that stays open. The server adds a message to it each second.</p>
      </header>
      <section className="line">
        <p role="timer" style={{ '--digits': count.length } as CSSProperties}>
          {count}
        </p>
        <LastMessage message={messages.at(-1)} />
      </section>
      <section className="line">
        <button onClick={action} aria-disabled={!action}>
          {state === 'reconnecting' ? 'Try now' : 'Cut the connection'}
        </button>
        <button onClick={state === 'paused' ? resume : pause} aria-disabled={state === 'closed'}>
          {state === 'paused' ? 'Resume' : 'Pause'}
        </button>
        <p role="status" data-state={state}>
          <Words status={status} {...received} />
        </p>
      </section>
      <Responses rows={received.rows} />
      <footer>
        See the bytes: <code>curl -N {location.origin}/count</code>
      </footer>
    </main>
  );
}

/** The state of the subscription in words. The countdown is hidden from screen readers. */
function Words({ status, lastEventId, rows: [newest] }: Received & { status: Status }): ReactNode {
  switch (status.state) {
    case 'connecting':
      return 'Connecting';
    case 'open':
      if (!newest?.after || newest.messages.length === 0) return 'Open';
      return (
        <>
          Went on after <b>{newest.after}</b>.
        </>
      );
    case 'reconnecting':
      return (
        <>
          No connection.
          <span aria-hidden="true">
            <NextAttempt key={status.dueAt} dueAt={status.dueAt} />
            {lastEventId && ', to go on after '}
            <b>{lastEventId}</b>.
          </span>
          {answered(status.status)}
        </>
      );
    case 'paused':
      return 'Paused';
    case 'closed':
      return `Closed.${answered(status.status)}`;
  }
}

function NextAttempt({ dueAt }: { dueAt: number | undefined }): string {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (dueAt === undefined) return ' Trying again';
  return ` Next attempt in ${Math.max(0, Math.ceil((dueAt - now) / 1000))} s`;
}

function answered(status?: number): string {
  if (status === undefined) return '';
  return ` The server answered ${status}${status === 200 ? ', but not with a stream' : ''}.`;
}

function begin(): Received {
  return { lastEventId: tabStorage()?.getItem(STORAGE_KEY) ?? '', rows: [] };
}

function tabStorage(): Storage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined; // blocked: a reload starts over
  }
}
