import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';

/** The last event of a finished stream: `subscribe` does not reconnect after it. */
export const END_EVENT = 'end';

/** The event that is sent after a silence: proxies and the client's watchdog see a live connection. */
export const HEARTBEAT_EVENT = 'heartbeat';

/**
 * A client whose backlog grows by more than this is disconnected after the backlog is flushed; it reconnects and
 * resumes. The turn of the event loop in which a backlog begins does not count: that burst may be of any size.
 */
export const MAX_BUFFERED_BYTES = 8192;

/**
 * A client that reads none of its backlog for this time is disconnected, at the next heartbeat that is due. Over
 * HTTP/2 a message counts as read when all of it has been.
 */
export const STALLED_AFTER_MS = 30_000;

/** The longest delay that timers accept. */
const MAX_MS = 2 ** 31 - 1;

/** Maps each event's name to the type of its `data`. An event without a name is a `message`. */
export type Events = Record<string, string | number>;
type EventData<E> = { [Name in keyof E]: string | number }; // also accepts interfaces

/** A value as JSON text that keeps its type: written by `json`, read by `parse` in client/subscribe.ts. */
export type Json<Value> = string & { readonly __json: Value };

/** A message of these events. `data` may have several lines; `event` and `id` may not. */
export type Message<E extends EventData<E> = Events> =
  | { [Name in keyof E]: { event: Name; data: E[Name]; id?: Id } }[keyof E]
  | ('message' extends keyof E ? { event?: undefined; data: E[keyof E & 'message']; id?: Id } : never);
type Id = string | number | undefined;

/** An open stream. Call its methods on it. None throws: bad input is logged and cuts only this stream. */
export interface EventStream<E extends EventData<E> = Events> {
  /** Aborted when the stream has closed, whoever closed it. */
  readonly signal: AbortSignal;
  send(message: Message<E>): void;
  /** Sends a comment. EventSource ignores it, and so does the client's watchdog, but it delays the heartbeat. */
  comment(text: string): void;
  /**
   * Back-pressure: resolves when the client has room for more, or when the stream has closed. It always takes
   * a turn of the event loop, so that a loop over it does not block the process.
   */
  ready(): Promise<void>;
  /** Ends the stream for good: `subscribe` does not reconnect. */
  finish(): void;
  /** Ends the stream and asks the client to reconnect after this time. */
  reconnectAfter(ms: number): void;
}

/**
 * Feeds a stream. It may return a function, which is called when the stream has closed. An async source
 * finishes the stream when it resolves. An error is logged and cuts only this stream, so that its client
 * reconnects.
 */
export type Source<E extends EventData<E> = Events> = (
  stream: EventStream<E>,
) => void | (() => void) | Promise<void>;

export interface EventStreamOptions {
  /** After a cut a client waits 0.5 to 1.5 times this, so that not all return at once. Default 1000. */
  reconnectionTimeMs?: number | undefined;
  /** Silence after which a heartbeat is sent. Default 15,000; 0 turns it off. */
  heartbeatMs?: number | undefined;
  /**
   * Whether heartbeats and the end are events, as `subscribe` needs them. Clients that parse the data of every
   * event, such as AI SDKs, want `false`: heartbeats are comments, and `finish` only ends the response.
   * Default true.
   */
  controlEvents?: boolean | undefined;
}

/**
 * Answers a request with an event stream (HTML, section 9.2). The headers and the reconnection time leave at
 * once; HEAD gets only the headers. The app's timeouts, such as `server.setTimeout`, stay in force: a heartbeat
 * ends a silence, but a stream that is silent for longer than they allow is cut by them. Throws a `TypeError`
 * or a `RangeError` for a bad argument, before anything is sent. If middleware compresses the response,
 * destroys it and throws an `Error`.
 */
export function openEventStream<E extends EventData<E> = Events>(
  req: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  source: Source<E>,
  { reconnectionTimeMs = 1000, heartbeatMs = 15_000, controlEvents = true }: EventStreamOptions = {},
): void {
  const res = response as ServerResponse; // TypeScript can't call the methods of this union
  if (typeof res?.writeHead !== 'function')
    throw expected('res', "Node's ServerResponse, as in reply.raw, ctx.res or c.env.outgoing", res);
  if (typeof source !== 'function') throw expected('source', 'a function', source);
  const retry = inRange('reconnectionTimeMs', reconnectionTimeMs) * (0.5 + Math.random());
  inRange('heartbeatMs', heartbeatMs);

  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache, no-transform', // compressors would hold messages back
    'X-Accel-Buffering': 'no', // and so would nginx
  });
  if (req.method === 'HEAD') return void res.end();
  res.flushHeaders(); // sending headers on their own saves 0.6 kB per stream
  res.write(formatRetry(Math.min(retry, MAX_MS)));
  // By the first write, a compressor has set its header.
  if (res.hasHeader('Content-Encoding')) {
    res.destroy();
    throw new Error('Content-Encoding: expected none, found compression: exempt event streams from it');
  }

  // A pipelined request waits: its response has no socket until those before it have ended. The microtask lets
  // the caller return first.
  if (res.socket) queueMicrotask(start);
  else res.on('socket', () => queueMicrotask(start));

  function start(): void {
    const channel = req.httpVersionMajor === 2 && 'stream' in response ? response.stream : res.socket;
    if (!channel || channel.destroyed) return;
    void new Stream<E>(res, channel, heartbeatMs, controlEvents).run(source);
  }
}

// A class: a closure for each method would take 60 % more memory.
class Stream<E extends EventData<E>> implements EventStream<E> {
  readonly #res: ServerResponse;
  readonly #channel: Duplex; // the socket, or a stream of HTTP/2
  readonly #controlEvents: boolean;
  readonly #heartbeatMs: number; // 0: none
  readonly #isDirect: boolean; // see #write
  readonly #timer: NodeJS.Timeout;
  #stop: (() => void) | undefined; // what the source returned
  #controller: AbortController | undefined;
  #isEnded = false;
  #isClosed = false;
  #limit: number | undefined; // set while there is a backlog, see #isBehind
  #unread = 0; // at the last look, see unread()
  #stalledMs = 0;

  constructor(res: ServerResponse, channel: Duplex, heartbeatMs: number, controlEvents: boolean) {
    this.#res = res;
    this.#channel = channel;
    this.#controlEvents = controlEvents;
    this.#heartbeatMs = heartbeatMs;
    this.#isDirect = res.chunkedEncoding && !isWrapped(res);
    this.#timer = setInterval(() => this.#tick(), heartbeatMs || STALLED_AFTER_MS);
    res.on('close', () => this.close());
  }

  async run(source: Source<E>): Promise<void> {
    try {
      const result: unknown = source(this);
      if (typeof result === 'function') this.#stop = result as () => void;
      else if (isPromise(result)) await result.then(() => this.finish());
      else if (result !== undefined) throw expected('source', 'nothing, a function or a promise', result);
    } catch (error) {
      this.#fail(error);
    }
  }

  close(): void {
    this.#isEnded = this.#isClosed = true;
    clearInterval(this.#timer);
    this.#controller?.abort();
    Promise.resolve().then(this.#stop).catch(console.error); // whether it throws or rejects
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isClosed) this.#controller.abort();
    return this.#controller.signal;
  }

  send(message: Message<E>): void {
    if (!this.#isOpen()) return;
    try {
      this.#write(formatMessage(message)); // not by #attempt: a closure for each message is a fifth of its garbage
    } catch (error) {
      this.#fail(error);
    }
  }

  comment(text: string): void {
    this.#attempt(() => this.#write(formatComment(text)));
  }

  finish(): void {
    this.#attempt(() => this.#end(this.#controlEvents ? formatControlEvent(END_EVENT) : ''));
  }

  reconnectAfter(ms: number): void {
    this.#attempt(() => this.#end(formatRetry(ms)));
  }

  async ready(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.#channel.writable || this.#channel.writableLength <= MAX_BUFFERED_BYTES) return;
    // Calls back when all that was written before it has been flushed, or when the connection has closed.
    await new Promise((resolve) => this.#channel.write('', resolve));
  }

  /** Whether nobody has ended it: neither this stream, nor the app, nor the client. */
  #isOpen(): boolean {
    return !this.#isEnded && !this.#res.writableEnded && this.#channel.writable;
  }

  #attempt(action: () => void): void {
    if (!this.#isOpen()) return;
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return; // errors after the client has left are ignored
    console.error(error);
    if (!this.#isEnded) this.#cut();
  }

  /** Over HTTP/2 a cut without an error looks like the end; over HTTP/1.1 an error would reach `clientError`. */
  #cut(): void {
    this.#isEnded = true;
    this.#res.destroy(this.#channel === this.#res.socket ? undefined : new Error('The stream was cut'));
  }

  #end(text: string): void {
    this.#isEnded = true;
    this.#res.end(text);
    this.#unread = unread(this.#channel);
  }

  #write(text: string): void {
    this.#noteProgress();
    if (this.#isBehind()) return this.#end('');
    // Where nothing wraps `res.write`, writes HTTP's chunk itself: one write instead of four, a fifth less CPU.
    if (this.#isDirect) this.#channel.write(`${byteLength(text).toString(16)}\r\n${text}\r\n`);
    else this.#res.write(text);
    this.#unread = unread(this.#channel);
  }

  /** Whether the client's backlog is beyond its limit, which is set when the backlog begins. */
  #isBehind(): boolean {
    const backlog = this.#channel.writableLength;
    if (backlog <= MAX_BUFFERED_BYTES) {
      this.#limit = undefined;
      return false;
    }
    if (this.#limit === undefined) {
      this.#limit = Infinity; // until this turn is over: the socket cannot drain during it
      setImmediate(() => (this.#limit = this.#channel.writableLength + MAX_BUFFERED_BYTES));
    }
    return backlog > this.#limit;
  }

  /** Nothing was sent for `heartbeatMs`, or what was sent is not being read. */
  #tick(): void {
    if (!this.#noteProgress()) {
      this.#stalledMs += this.#heartbeatMs || STALLED_AFTER_MS;
      if (this.#stalledMs >= STALLED_AFTER_MS) this.#cut();
    } else if (this.#unread === 0 && this.#heartbeatMs > 0) {
      const heartbeat = this.#controlEvents ? formatControlEvent(HEARTBEAT_EVENT) : formatComment('');
      this.#attempt(() => this.#write(heartbeat));
    }
  }

  /** Whether the client has read something since the last look, or has nothing to read. If so, restarts the timer. */
  #noteProgress(): boolean {
    const before = this.#unread;
    this.#unread = unread(this.#channel);
    if (this.#unread > 0 && this.#unread === before) return false;
    this.#stalledMs = 0;
    this.#timer.refresh();
    return true;
  }
}

/** Whether there is more than one `write` in the prototype chain, such as a compressor's before the class's. */
function isWrapped(res: object): boolean {
  const above = Object.getPrototypeOf(res) as object;
  return Object.prototype.hasOwnProperty.call(res, 'write') ? 'write' in above : isWrapped(above);
}

/** Changes whenever the client reads; 0: it has read all. `writableLength` changes only when a write is over. */
function unread({ writableLength, _handle }: Duplex & { _handle?: { writeQueueSize?: number } }): number {
  return writableLength > 0 ? writableLength + (_handle?.writeQueueSize ?? 0) : 0;
}

/** Of a text in UTF-8. No `Buffer`, which only Node has, and no regular expression, which makes garbage. */
function byteLength(text: string): number {
  for (let i = 0; i < text.length; i += 1) {
    if (text.charCodeAt(i) > 127) return new TextEncoder().encode(text).length;
  }
  return text.length;
}

function isPromise(value: unknown): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === 'function';
}

// The wire format: HTML, section 9.2, "Server-sent events". It also runs where there is no Node.

/** The last event ID of a client that reconnects, or `''`. The header wins: it is newer. */
export function lastEventId({ headers, url = '' }: AnyRequest): string {
  const id = 'last-event-id';
  const header =
    typeof headers['get'] === 'function' ? (headers as WebHeaders).get(id) : (headers as NodeHeaders)[id];
  const query = new URLSearchParams(/\?(.*)/.exec(url)?.[1]).getAll('lastEventId');
  return typeof header === 'string' ? fromUtf8(header) : query.join(); // of several none is right
}
type AnyRequest = { headers: NodeHeaders | WebHeaders; url?: string };
type NodeHeaders = Readonly<Record<string, string | string[] | undefined>>;
type WebHeaders = { get(name: string): string | null };

/** Writes a value as JSON text, on one line: a Date as its ISO string, a Map as `{}`, NaN as `null`. */
export function json<Value extends NonNullable<unknown> | null>(value: Value): Json<Value> {
  return JSON.stringify(value) as Json<Value>;
}

type Fields = { event?: PropertyKey | undefined; id?: Id; data: string | number };

/** A message as it stands on the wire. Throws a `TypeError` for what does not fit there. */
export function formatMessage({ event, id, data }: Fields): string {
  if (event === 'open' || event === 'error' || event === END_EVENT) {
    throw expected('event', 'a name other than open, error and end', event);
  }
  if (typeof data !== 'string' && typeof data !== 'number') throw expected('data', 'text or a number', data);
  const eventField = event === undefined ? '' : `event: ${oneLine('event', event)}\n`;
  const idField = id === undefined ? '' : `id: ${oneLine('id', id)}\n`;
  return `${eventField}${idField}data: ${String(data).replace(LINE_END, '\ndata: ')}\n\n`;
}

/** A comment. EventSource ignores it. */
export const formatComment = (text: string): string => `: ${text.replace(LINE_END, '\n: ')}\n\n`;

/** The reconnection time. Throws a `RangeError` for what timers do not accept. */
export const formatRetry = (ms: number): string => `retry: ${Math.round(inRange('retry', ms))}\n\n`;

/** `END_EVENT` or `HEARTBEAT_EVENT`. */
export const formatControlEvent = (event: string): string => `event: ${event}\ndata: \n\n`;

// "Lines must be separated by either a CRLF character pair, a single LF character, or a single CR character."
const LINE_END = /\r\n|\r|\n/g;

/** Line ends would inject fields, an empty ID resets the client, outer spaces and control characters get lost. */
function oneLine(field: string, value: PropertyKey): string | number {
  if (typeof value === 'number' || (typeof value === 'string' && /^(?! )\P{Cc}+(?<! )$/u.test(value)))
    return value;
  throw expected(field, 'one line of text without spaces around it, or a number', value);
}

/** Node decodes headers as Latin-1. Browsers send an ID as UTF-8; some Node clients send it as Latin-1. */
function fromUtf8(header: string): string {
  const bytes = header.replace(/[%\x80-\xFF]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  try {
    return decodeURIComponent(bytes);
  } catch {
    return header;
  }
}

function inRange(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_MS) return ms;
  throw new RangeError(`${name}: expected 0 to 2^31 - 1 ms, found ${ms}`);
}

function expected(name: string, what: string, found: unknown): TypeError {
  const text = typeof found === 'string' ? JSON.stringify(found) : String(found);
  return new TypeError(`${name}: expected ${what}, found ${text}`);
}
