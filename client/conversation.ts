import type { Status } from './subscribe.ts';

/** How many entries a conversation keeps. */
export const ENTRIES_KEPT = 100;

/** One thing that the page knows of the wire. */
export type Entry = Content & {
  /** A running number. An id is no key: it is missing from some messages, and repeated by others. */
  readonly key: number;
  /** ms since the epoch. */
  readonly time: number;
  /** Whether none of the entries before it was of its kind. */
  readonly isFirst: boolean;
};

/** An empty string stands for a field that was not sent. */
type Content =
  | { kind: 'request'; path: string; lastEventId: string; header: string }
  | { kind: 'answer' }
  | { kind: 'message'; event: string; id: string; data: string }
  | { kind: 'break'; state: Gap; status: number | undefined };

type Gap = 'reconnecting' | 'paused' | 'closed';

/** What was asked, answered and lost so far. */
export interface Conversation {
  /** The oldest first. */
  readonly entries: readonly Entry[];
  readonly lastEventId: string;
  /** What the page asks for. */
  readonly url: string;
  /** The same with the last event ID from when the EventSource was made: the browser repeats the URL. */
  readonly path: string;
  /** Whether the next request will be that of a new EventSource. */
  readonly isNewSource: boolean;
  readonly nextKey: number;
}

/** A conversation before its first request, which will ask for what follows `lastEventId`. */
export function begin(url: string, lastEventId: string): Conversation {
  return { entries: [], lastEventId, url, path: url, isNewSource: true, nextKey: 0 };
}

/** Adds a message. An id that was sent twice counts as not sent: a script cannot tell the two apart. */
export function withMessage(
  before: Conversation,
  message: Pick<MessageEvent<string>, 'type' | 'lastEventId' | 'data'>,
  time: number,
): Conversation {
  const { type, lastEventId, data } = message;
  const id = lastEventId === before.lastEventId ? '' : lastEventId;
  const event = type === 'message' ? '' : type;
  const after = append(withAnswer(before, time), time, { kind: 'message', event, id, data });
  return { ...after, lastEventId: id || before.lastEventId };
}

/** Adds what a change of the subscription's status tells: a request, its answer, or a break. */
export function withStatus(before: Conversation, status: Status, time: number): Conversation {
  const { state } = status;
  const last = before.entries.at(-1);
  if (state === 'open') return withAnswer(before, time);
  if (state === 'connecting') {
    if (last?.kind === 'request') return before;
    // Back from the back/forward cache, the connection is gone without another word.
    const broken = last && last.kind !== 'break' ? withBreak(before, 'reconnecting', time) : before;
    return withRequest({ ...broken, isNewSource: true }, time);
  }
  // StrictMode makes its first request twice; before that, starting over ends the former subscription.
  if (state === 'paused' && (last === undefined || last.kind === 'request')) return before;
  // The browser reconnects by itself once: whatever else is said after a break is of a new EventSource.
  const isAgain = last?.kind === 'break';
  const isNewSource = before.isNewSource || isAgain || state !== 'reconnecting' || status.dueAt !== undefined;
  const code = state === 'closed' ? status.status : undefined;
  return withBreak({ ...before, isNewSource }, state, time, code);
}

/** The last event ID of the latest request, and the first id that came after it, where there are both. */
export function resumption(entries: readonly Entry[]): { after: string; with: string } | undefined {
  const start = entries.findLastIndex(({ kind }) => kind === 'request');
  const request = entries[start];
  const first = entries.slice(start).find((entry) => entry.kind === 'message' && entry.id !== '');
  if (request?.kind !== 'request' || request.lastEventId === '' || first?.kind !== 'message')
    return undefined;
  return { after: request.lastEventId, with: first.id };
}

/** A stretch of time, in ms since the epoch, with a connection or without; `to` is missing while it lasts. */
interface Stretch {
  key: number;
  state: 'open' | Gap;
  from: number;
  to?: number;
  /** The last id before it. */
  after: string;
}

/** The stretches of time in the entries, by turns with a connection and without, the earliest first. */
export function stretchesOf(entries: readonly Entry[]): Stretch[] {
  const stretches: Stretch[] = [];
  let after = '';
  for (const entry of entries) {
    if (entry.kind === 'message') after = entry.id || after;
    if (entry.kind === 'request') continue;
    const state = entry.kind === 'break' ? entry.state : 'open';
    const current = stretches.at(-1);
    if (current && (current.state === 'open') === (state === 'open')) {
      current.state = state;
      continue;
    }
    if (current) current.to = entry.time;
    stretches.push({ key: entry.key, state, from: entry.time, after });
  }
  return stretches;
}

/** The messages with an id that stand before a break, after one, or between two. */
export function besideBreaks(
  entries: readonly Entry[],
): { key: number; time: number; id: string; side: 'before' | 'after' | 'both' }[] {
  const breaks = entries.filter(({ kind }) => kind === 'break').map(({ key }) => key);
  const messages = entries.filter((entry) => entry.kind === 'message').filter(({ id }) => id !== '');
  const isBroken = (from = Infinity, to = Infinity): boolean => breaks.some((key) => from < key && key < to);
  return messages.flatMap(({ key, time, id }, i) => {
    const isBefore = isBroken(key, messages[i + 1]?.key);
    const isAfter = isBroken(messages[i - 1]?.key, key);
    if (!isBefore && !isAfter) return [];
    return [{ key, time, id, side: isBefore && isAfter ? 'both' : isBefore ? 'before' : 'after' }];
  });
}

/** The first byte that arrives proves an answer, whatever has been said of the status. */
function withAnswer(before: Conversation, time: number): Conversation {
  const last = before.entries.at(-1)?.kind;
  if (last === 'answer' || last === 'message') return before;
  const asked = last === 'request' ? before : withRequest(before, time);
  return append({ ...asked, isNewSource: false }, time, { kind: 'answer' });
}

function withRequest(before: Conversation, time: number): Conversation {
  const { url, lastEventId, isNewSource } = before;
  const query =
    lastEventId && `${url.includes('?') ? '&' : '?'}lastEventId=${encodeURIComponent(lastEventId)}`;
  const path = isNewSource ? url + query : before.path;
  const header = isNewSource ? '' : lastEventId;
  return append({ ...before, path }, time, { kind: 'request', path, lastEventId, header });
}

function withBreak(before: Conversation, state: Gap, time: number, status?: number): Conversation {
  const last = before.entries.at(-1);
  if (last?.kind === 'break' && last.state === state) return before;
  return append(before, time, { kind: 'break', state, status });
}

function append(before: Conversation, time: number, content: Content): Conversation {
  const { entries, nextKey } = before;
  const isFirst = !entries.some((entry) => nameOf(entry) === nameOf(content));
  const entry = { ...content, key: nextKey, time, isFirst };
  return { ...before, entries: [...entries, entry].slice(-ENTRIES_KEPT), nextKey: nextKey + 1 };
}

/** Entries of one name need one explanation. */
function nameOf(content: Content): string {
  if (content.kind === 'request') return `request ${content.lastEventId && 'again'}`;
  if (content.kind === 'break') return `break ${content.state}`;
  return content.kind === 'message' ? `message ${content.event}` : content.kind;
}
