import type { Status } from './subscribe.ts';

const MESSAGES_KEPT = 100;
const ROWS_KEPT = 20;

/** What the page has been told so far. */
export interface Received {
  readonly lastEventId: string;
  /** The newest first. */
  readonly rows: readonly Row[];
}

/** One HTTP response. */
export interface Row {
  readonly key: number;
  /** The last event ID that was sent with the request, or `''`. */
  readonly after: string;
  /** The oldest first; the first received has the key 1. */
  readonly messages: readonly Message[];
  /** Missing while it is open. */
  readonly end?: string;
}

/** The fields of a message. An id that was not sent is `''`. */
export interface Message {
  readonly key: number;
  readonly id: string;
  readonly data: string;
}

const ENDS = {
  cut: 'cut here',
  reconnecting: 'connection lost',
  connecting: 'connection lost', // after sleep, a silent stream is replaced at once
  paused: 'paused',
  closed: 'closed',
};

type Incoming = Pick<MessageEvent<string>, 'lastEventId' | 'data'>;
type State = Status['state'] | 'cut';

/** Adds what `subscribe` tells, a message or a change of status, or a cut made on the page. */
export function update(received: Received, news: Incoming | { state: State }): Received {
  return 'state' in news ? withState(received, news.state) : withMessage(received, news);
}

/** A row begins when its stream opens, and ends with any other state. */
function withState(received: Received, state: State): Received {
  const { lastEventId, rows } = received;
  const [newest, ...older] = rows;
  if (state === 'open') {
    const row = { key: (newest?.key ?? 0) + 1, after: lastEventId, messages: [] };
    return { lastEventId, rows: [row, ...rows].slice(0, ROWS_KEPT) };
  }
  if (!newest || newest.end) return received;
  return { lastEventId, rows: [{ ...newest, end: ENDS[state] }, ...older] };
}

function withMessage({ lastEventId, rows }: Received, event: Incoming): Received {
  const [newest, ...older] = rows;
  if (!newest) return { lastEventId, rows };
  const message = {
    key: (newest.messages.at(-1)?.key ?? 0) + 1,
    // A message without an id has that of the message before it.
    id: event.lastEventId === lastEventId ? '' : event.lastEventId,
    data: event.data,
  };
  let room = MESSAGES_KEPT;
  return {
    lastEventId: message.id || lastEventId,
    rows: [{ ...newest, messages: [...newest.messages, message] }, ...older].map((row) => {
      const messages = row.messages.slice(-Math.max(1, room)); // keeps the last: the next row goes on after it
      room -= messages.length;
      return { ...row, messages };
    }),
  };
}
