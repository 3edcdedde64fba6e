import { useState, type ReactElement } from 'react';
import { flushSync } from 'react-dom';
import { Controls } from './Controls.tsx';
import { Conversation } from './Conversation.tsx';
import { begin, withMessage, withStatus } from './conversation.ts';
import { Count } from './Count.tsx';
import { keepLastId, recallLastId } from './lastId.ts';
import { isNumber, Problem } from './Problem.tsx';
import { StatusLine } from './StatusLine.tsx';
import type { Status } from './subscribe.ts';
import { Timeline } from './Timeline.tsx';
import { useEventSource } from './useEventSource.ts';

/** Longer than `HEARTBEAT_MS` and `DRAIN_WINDOW_MS` in server/app.ts together. */
const STALE_AFTER_MS = 10_000;

/** The whole page. */
export function App(): ReactElement {
  const [run, setRun] = useState(() => ({ number: 1, lastEventId: recallLastId() }));
  const [count, setCount] = useState(() => Number(run.lastEventId) || 0);
  const [conversation, setConversation] = useState(() => begin('/count', run.lastEventId));
  const { entries } = conversation;
  const subscription = useEventSource(
    `/count#${run.number}`, // a fragment is not sent, but a new one opens a new stream
    { message: show },
    { staleAfterMs: STALE_AFTER_MS, lastEventId: run.lastEventId, onStatus: recordStatus },
  );

  function show(message: MessageEvent<string>): void {
    // A render for each message: React would batch those that arrive together.
    flushSync(() => {
      record(message);
      if (isNumber(message.data)) setCount(Number(message.data));
    });
  }

  function record(message: MessageEvent<string>): void {
    const now = Date.now();
    if (message.lastEventId !== '') keepLastId(message.lastEventId);
    setConversation((before) => withMessage(before, message, now));
  }

  function recordStatus(status: Status): void {
    const now = Date.now();
    setConversation((before) => withStatus(before, status, now));
  }

  function startOver(): void {
    keepLastId('');
    setRun({ number: run.number + 1, lastEventId: '' });
    setCount(0);
    setConversation(begin('/count', ''));
  }

  return (
    <main>
      <header>
        <h1>Server-sent events</h1>
        <p>
          One HTTP response that never ends, a message at a time. When it is cut, the next request goes on
          where it stopped.
        </p>
      </header>
      <section className="counter">
        <Count value={count} />
        <StatusLine status={subscription.status} entries={entries} />
        <Timeline entries={entries} />
        <Controls subscription={subscription} onStartOver={startOver} />
        <Problem entries={entries} />
      </section>
      <Conversation entries={entries} />
    </main>
  );
}
