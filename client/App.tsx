import { useEffect, useReducer, useState, type CSSProperties, type ReactElement } from 'react';
import { flushSync } from 'react-dom';
import { LastMessage, Responses } from './Responses.tsx';
import { update, type Received } from './rows.ts';
import type { Status } from './subscribe.ts';
import { useEventSource } from './useEventSource.ts';

/** Longer than `HEARTBEAT_MS` and `DRAIN_WINDOW_MS` in server/app.ts together. */
const STALE_AFTER_MS = 10_000;

/** Key in `sessionStorage`, which belongs to the tab and outlives a reload. */
const LAST_EVENT_ID = 'last event ID of /count';

/** The whole page. */
export function App(): ReactElement {
  const [received, tell] = useReducer(update, undefined, start);
  const { status, pause, resume, drop } = useEventSource(
    '/count',
    { message: show },
    { staleAfterMs: STALE_AFTER_MS, lastEventId: received.lastEventId, onStatus: tell },
  );
  const messages = received.rows.toReversed().flatMap((row) => row.messages);
  const count = messages.findLast(({ data }) => /^\d+$/.test(data))?.data ?? '';
  const action = {
    connecting: undefined,
    open: cut,
    reconnecting: resume,
    paused: undefined,
    closed: undefined,
  }[status.state];

  function show(message: MessageEvent<string>): void {
    if (message.lastEventId !== '') tabStorage()?.setItem(LAST_EVENT_ID, message.lastEventId);
    // A render for each message: React would batch those that arrive together.
    flushSync(() => tell(message));
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
      <section className={status.state === 'open' ? 'latest' : 'latest dim'}>
        <p role="timer" style={{ '--digits': count.length } as CSSProperties}>
          {count}
        </p>
        <LastMessage message={messages.at(-1)} />
      </section>
      <section className="controls">
        <button onClick={action} aria-disabled={!action}>
          {status.state === 'reconnecting' ? 'Try now' : 'Cut the connection'}
        </button>
        <button
          onClick={status.state === 'paused' ? resume : pause}
          aria-disabled={status.state === 'closed'}
        >
          {status.state === 'paused' ? 'Resume' : 'Pause'}
        </button>
        <p role="status" data-state={status.state}>
          <Words status={status} received={received} />
        </p>
      </section>
      <Responses rows={received.rows} />
      <footer>
        See the bytes: <code>curl -N {location.origin}/count</code>
      </footer>
    </main>
  );
}

/** The state of the subscription in words. Screen readers do not hear what changes with the clock. */
function Words({ status, received }: { status: Status; received: Received }): ReactElement | string {
  const { lastEventId, rows } = received;
  switch (status.state) {
    case 'connecting':
      return 'Connecting';
    case 'open':
      if (!rows[0]?.after || rows[0].messages.length === 0) return 'Open';
      return (
        <>
          Went on after <b>{rows[0].after}</b>.
        </>
      );
    case 'reconnecting':
      return (
        <>
          No connection.{' '}
          <span aria-hidden="true">
            <NextAttempt key={status.dueAt} dueAt={status.dueAt} />
            {lastEventId && ', to go on after '}
            <b>{lastEventId}</b>.{' '}
          </span>
          {answer(status.status)}
        </>
      );
    case 'paused':
      return 'Paused';
    case 'closed':
      return `Closed. ${answer(status.status)}`;
  }
}

function answer(status: number | undefined): string {
  if (status === undefined) return '';
  return `The server answered ${status}${status === 200 ? ', but not with a stream' : ''}.`;
}

function NextAttempt({ dueAt }: { dueAt: number | undefined }): string {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (dueAt === undefined) return 'Trying again';
  return `Next attempt in ${Math.max(0, Math.ceil((dueAt - now) / 1000))} s`;
}

function start(): Received {
  return { lastEventId: tabStorage()?.getItem(LAST_EVENT_ID) ?? '', rows: [] };
}

function tabStorage(): Storage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined; // blocked: a reload starts over
  }
}
