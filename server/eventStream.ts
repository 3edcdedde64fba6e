import type { IncomingMessage, ServerResponse } from 'node:http';

/** The name of the last event of a stream that is finished for good: its client does not come back. */
export const END_EVENT = 'end';

/** A client this far behind is cut; it comes back and goes on from the last id that it saw. */
export const MAX_BUFFERED_BYTES = 64 * 1024;

/** A client that takes nothing of what waits for it is cut after this time. */
export const STALLED_AFTER_MS = 30_000;

/**
 * One message of an event stream (HTML, "Server-sent events", 9.2.5 to 9.2.6).
 * `data` may hold several lines; `id` and `event` may not, and an empty `id` would make the client forget its last one.
 */
export interface Message {
  data: string | number;
  id?: string | number;
  event?: string;
}

/** What a source may do with its stream. After the stream has closed, nothing is sent and nothing is thrown. */
export interface EventStream {
  /** Sends one message. Throws a `TypeError` when `id` or `event` can't be written as one line. */
  send(message: Message): void;
  /** Says with a last event, `end`, that nothing more will come, and closes. */
  finish(): void;
  /** Closes, and asks the client to come back after `reconnectionTimeMs`. */
  release(reconnectionTimeMs: number): void;
}

/** Feeds a stream from the moment that it is open; returns what stops that when the stream has closed, whoever closed it. */
export type Source = (stream: EventStream) => () => void;

/**
 * Answers a request with an event stream (`text/event-stream`, never cached, transformed or buffered on its way) and
 * feeds it from `source`. The headers and the reconnection time (default 1000 ms) leave at once; HEAD gets only the headers.
 * The connection carries nothing else and closes with the stream.
 */
export function openEventStream(
  req: IncomingMessage,
  res: ServerResponse,
  source: Source,
  { reconnectionTimeMs = 1000 }: { reconnectionTimeMs?: number } = {},
): void {
  // The end of the connection ends the body, so a frame goes to the socket as it is: without chunks around it, at two thirds of the cost.
  const { socket } = req;
  res.removeHeader('Transfer-Encoding');
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
    Connection: 'close',
  });
  if (req.method === 'HEAD') {
    res.end();
    return;
  }
  res.write(`retry: ${reconnectionTimeMs}\n\n`);

  const stream: EventStream = {
    send(message) {
      const text = frame(message);
      if (res.writableEnded) return;
      if (!socket.write(text) && socket.writableLength > MAX_BUFFERED_BYTES) socket.destroy();
    },
    finish: () => endWith(frame({ event: END_EVENT, data: '' })),
    release: (ms) => endWith(`retry: ${Math.round(ms)}\n\n`),
  };
  const endWith = (text: string): void => {
    if (!res.writableEnded) res.end(text);
  };

  const start = (): void => {
    if (res.destroyed) return;
    res.once('close', source(stream));
    res.setTimeout(STALLED_AFTER_MS, () => {
      if (socket.writableLength > 0) socket.destroy();
    });
  };
  // A request that was pipelined gets the socket only when the answers before it are out, and its headers a moment later.
  if (res.socket) start();
  else res.once('socket', () => process.nextTick(start));
}

/**
 * The last event ID that a client comes back with, or `''` (HTML 9.2.2, "last event ID string"). The header of a native
 * reconnect wins over `?lastEventId=`, which a re-created EventSource uses because it can set no header: a native
 * reconnect repeats the URL, with the older id in it.
 */
export function lastEventId({ headers, url }: Pick<IncomingMessage, 'headers' | 'url'>): string {
  const header = headers['last-event-id'];
  const query = new URLSearchParams(/\?(.*)/.exec(url ?? '')?.[1]).getAll('lastEventId');
  return String(header ?? query);
}

/** A message as it stands on the wire (HTML 9.2.5, "Parsing an event stream"). */
export function frame({ id, event, data }: Message): string {
  const eventField = event === undefined ? '' : `event: ${oneLine('event', event)}\n`;
  const idField = id === undefined ? '' : `id: ${oneLine('id', id)}\n`;
  const dataField = typeof data === 'number' ? data : data.replaceAll(LINE_END, '\ndata: ');
  return `${eventField}${idField}data: ${dataField}\n\n`;
}

const LINE_END = /\r\n|\r|\n/g;

/** A line end would let a value inject fields or whole messages; clients ignore an id with a NUL in it. */
function oneLine(field: string, value: string | number): string | number {
  if (typeof value === 'string' && (value === '' || /[\r\n\0]/.test(value))) {
    throw new TypeError(`${field}: expected one line of text, found ${JSON.stringify(value)}`);
  }
  return value;
}
