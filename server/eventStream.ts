import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** The name of the last event of a stream that is finished for good: its client does not come back. */
export const END_EVENT = 'end';

/**
 * A client for which more than this waits gets what waits and the end of its stream; it comes back and goes on from there.
 * Small frames take a dozen times as much memory while they wait.
 */
export const MAX_BUFFERED_BYTES = 16 * 1024;

/** A client that takes nothing of what waits for it is cut after this time or, if it began to take it, after twice the time. */
export const STALLED_AFTER_MS = 30_000;

/** The events of a stream: what data each name brings. `message` is an event without a name. */
export type Events = Record<string, string | number>;

/** A value as JSON text, which keeps its type on the wire: `json` writes it, `parse` in client/subscribe.ts reads it. */
export type Json<Value> = string & { readonly __json: Value };

/**
 * One message of an event stream (HTML, "Server-sent events", 9.2.5 to 9.2.6).
 * `data` may hold several lines; `id` and `event` may not, and an empty `id` would make the client forget its last one.
 */
export type Message<E extends Events = Events, Id extends string | number = string | number> = {
  [Name in keyof E]:
    | { event: Name; data: E[Name]; id?: OneLine<Id> }
    | ('message' extends Name ? { event?: never; data: E[Name]; id?: OneLine<Id> } : never);
}[keyof E];

/** Finds a line end in a text that is known at compile time; the others are found by `frame`. */
type OneLine<Id> = Id & (Id extends `${string}${'\n' | '\r'}${string}` ? { expected: 'one line' } : unknown);

/** What a source may do with its stream: `() => stream.finish()`, not `stream.finish`. When it has closed, sending does nothing. */
export interface EventStream<E extends Events = Events> {
  /**
   * Sends one message. Throws a `TypeError` when `id` or `event` is not one line of text without control characters, and
   * for the events `open`, `error` and `end`, which mean something else to clients. There is no back-pressure: what a
   * client does not take in time ends its stream (`MAX_BUFFERED_BYTES`), and it comes back for the rest.
   */
  send<const Id extends string | number>(message: Message<E, Id>): void;
  /** Sends a comment (HTML 9.2.5): it keeps proxies awake, but no client hears it, its watchdog neither. */
  comment(text: string): void;
  /** Says with a last event, `end`, that nothing more will come, and closes. */
  finish(): void;
  /**
   * Closes, and asks the client to come back after `reconnectionTimeMs`; a watchdog that is shorter brings it back sooner.
   * Throws a `RangeError` unless that is from 0 to 2^31.
   */
  reconnectAfter(reconnectionTimeMs: number): void;
}

/**
 * Feeds a stream from the moment that it is open; returns what stops that when the stream has closed, whoever closed it.
 * A source that throws at once is logged and costs its own stream alone; what throws later is not caught here.
 */
export type Source<E extends Events = Events> = (stream: EventStream<E>) => () => void;

/**
 * Answers a request with an event stream (`text/event-stream`, never cached, transformed or buffered on its way) and
 * feeds it from `source`. The headers and the reconnection time (default 1000 ms) leave at once; HEAD gets only the headers.
 * The connection carries nothing else and closes with the stream. Throws a `RangeError` for a reconnection time that `reconnectAfter` refuses.
 */
export function openEventStream<E extends Events = Events>(
  req: IncomingMessage,
  res: ServerResponse,
  source: Source<E>,
  options?: { reconnectionTimeMs?: number },
): void;
export function openEventStream(
  req: IncomingMessage,
  res: ServerResponse,
  source: Source,
  { reconnectionTimeMs = 1000 } = {},
): void {
  // The end of the connection ends the body, so a frame needs no chunk around it and goes to the socket as it is: cheaper than res.write.
  const { socket } = req;
  const reconnectionTime = retry(reconnectionTimeMs);
  res.removeHeader('Transfer-Encoding'); // tells Node not to add it
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
  res.write(reconnectionTime);

  const start = (): void => {
    if (res.destroyed) return;
    try {
      res.once('close', source(new Stream(res, socket)));
    } catch (error) {
      console.error(error);
      res.destroy();
    }
  };
  // Not at once: a pipelined request gets the socket when the answers before it are out, and its own headers follow then.
  if (res.socket) process.nextTick(start);
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
  // Node gives the header's bytes one by one, and they are UTF-8.
  return typeof header === 'string' ? Buffer.from(header, 'latin1').toString() : String(query);
}

/** Writes a value as JSON text, on one line. */
export function json<Value>(value: Value): Json<Value>;
export function json(value: unknown): string {
  return JSON.stringify(value);
}

/** A message as it stands on the wire (HTML 9.2.5, "Parsing an event stream"). */
export function formatMessage({ id, event, data }: Message): string {
  if (event === 'open' || event === 'error' || event === END_EVENT) {
    throw new TypeError(`event: expected a name that clients do not take for something else, found ${event}`);
  }
  const eventField = event === undefined ? '' : `event: ${oneLine('event', event)}\n`;
  const idField = id === undefined ? '' : `id: ${oneLine('id', id)}\n`;
  const dataField = typeof data === 'number' ? data : data.replaceAll(LINE_END, '\ndata: ');
  return `${eventField}${idField}data: ${dataField}\n\n`;
}

/** A class: with closures each stream takes 2 kB more and each frame a tenth, for among thousands nothing is in the CPU's cache. */
class Stream implements EventStream {
  readonly #res: ServerResponse;
  readonly #socket: Socket;
  #ended = false; // as #res.writableEnded, which would bring the response into the cache for each frame

  constructor(res: ServerResponse, socket: Socket) {
    this.#res = res;
    this.#socket = socket;
    res.setTimeout(0, () => (socket.writableLength > 0 ? socket.destroy() : socket.setTimeout(0)));
    this.#watch();
  }

  send(message: Message): void {
    this.#write(formatMessage(message));
  }

  comment(text: string): void {
    this.#write(`: ${text.replaceAll(LINE_END, '\n: ')}\n\n`);
  }

  finish(): void {
    this.#end(`event: ${END_EVENT}\ndata: \n\n`);
  }

  reconnectAfter(reconnectionTimeMs: number): void {
    this.#end(retry(reconnectionTimeMs));
  }

  #write(text: string): void {
    if (this.#ended) return;
    // Looked at before the write: a message may be longer than the limit, and a client that reads must get on.
    if (this.#socket.writableLength > MAX_BUFFERED_BYTES) this.#end('');
    else this.#socket.write(text);
    this.#watch();
  }

  /** Lets the timeout run only while something waits, else every write would have to put it off. */
  #watch(): void {
    if (this.#socket.writableLength > 0 && this.#socket.timeout === 0)
      this.#socket.setTimeout(STALLED_AFTER_MS);
  }

  #end(text: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#res.end(text);
    this.#watch();
  }
}

const LINE_END = /\r\n|\r|\n/g;

/** A line end would inject fields or whole messages; no control character comes back in the header `Last-Event-ID`. */
function oneLine(field: string, value: string | number): string | number {
  if (typeof value === 'string' && (value === '' || /\p{Cc}/u.test(value))) {
    throw new TypeError(`${field}: expected one line of text, found ${JSON.stringify(value)}`);
  }
  return value;
}

/** Sets the client's reconnection time (HTML 9.2.5, "retry"), which is digits alone. */
function retry(ms: number): string {
  if (!(ms >= 0 && ms < 2 ** 31)) throw new RangeError(`retry: expected 0 to 2^31 ms, found ${ms}`);
  return `retry: ${Math.round(ms)}\n\n`;
}
