import { once } from 'node:events';
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex, Writable } from 'node:stream';

/** The last event of a finished stream: `subscribe` does not reconnect after it. */
export const END_EVENT = 'end';

/** The event that is sent after a silence: proxies and the client's watchdog see a live connection. */
export const HEARTBEAT_EVENT = 'heartbeat';

/**
 * When a client's backlog exceeds this, it may grow by the same amount again. Beyond that the stream ends:
 * the client receives what is buffered, reconnects and resumes. What is sent in a single turn of the event
 * loop, such as a snapshot, is exempt.
 */
export const MAX_BUFFERED_BYTES = 8 * 1024;

/** A client that has read none of its backlog for `heartbeatMs` plus this time is disconnected. */
export const STALLED_AFTER_MS = 30_000;

/** The longest delay that timers accept. */
const MAX_MS = 2 ** 31 - 1;

/** Maps each event's name to the type of its `data`. An event without a name is a `message`. */
export type Events = Record<string, string | number>;
type EventsOf<E> = { [Name in keyof E]: string | number }; // also accepts interfaces

/** A value as JSON text that keeps its type: written by `json`, read by `parse` in client/subscribe.ts. */
export type Json<Value> = string & { readonly __json: Value };

/** A message of these events. `data` may have several lines; `event` and `id` may not. */
export type Message<E extends EventsOf<E> = Events, Id = string | number> = {
  [Name in keyof E]: Named<Name, E[Name], Id> | ('message' extends Name ? Unnamed<E[Name], Id> : never);
}[keyof E];
type Named<Name, Data, Id> = { event: Name; data: Data; id?: OneLine<Id> };
type Unnamed<Data, Id> = { event?: never; data: Data; id?: OneLine<Id> };
type OneLine<Id> = Id & (Id extends `${string}${'\n' | '\r'}${string}` ? { expected: 'one line' } : unknown);

/** An open stream. No method throws: bad input is logged and cuts this stream alone. */
export interface EventStream<E extends EventsOf<E> = Events> {
  /** Aborted when the stream has closed, whoever closed it. */
  readonly signal: AbortSignal;
  send<const Id extends string | number>(message: Message<E, Id>): void;
  /**
   * Sends a comment. EventSource ignores comments, so they do not reset the client's watchdog. They do delay
   * the next heartbeat: do not send them to keep a connection alive.
   */
  comment(text: string): void;
  /** Back-pressure: resolves when the client has room for more, or when the stream has closed. */
  ready(): Promise<void>;
  /** Ends the stream for good: `subscribe` does not reconnect. */
  finish(): void;
  /** Ends the stream and asks the client to reconnect after this time. */
  reconnectAfter(ms: number): void;
}

/**
 * Feeds a stream. It may return a function, which is called when the stream has closed. An async source
 * finishes the stream when it resolves. An error is logged and cuts this stream alone, so that its client
 * reconnects.
 */
export type Source<E extends EventsOf<E> = Events> = (
  stream: EventStream<E>,
) => void | (() => void) | Promise<void>;

export interface EventStreamOptions {
  /** After a cut a client waits 0.5 to 1.5 times this, so that not all return at once. Default 1000. */
  reconnectionTimeMs?: number;
  /** Silence after which a heartbeat is sent. Default 15,000; 0 turns it off. */
  heartbeatMs?: number;
}

type Response = ServerResponse | Http2ServerResponse;

/**
 * Answers a request with an event stream. The headers and the reconnection time leave at once; HEAD gets the
 * headers alone. Throws a `TypeError` or a `RangeError` for a bad argument, before anything is sent. If
 * middleware compresses the response, destroys it and throws an `Error`.
 */
export function openEventStream<E extends EventsOf<E> = Events>(
  req: IncomingMessage | Http2ServerRequest,
  res: Response,
  source: Source<E>,
  { reconnectionTimeMs = 1000, heartbeatMs = 15_000 }: EventStreamOptions = {},
): void {
  if (typeof source !== 'function') throw expected('source', 'a function', source);
  const retry = inRange('reconnectionTimeMs', reconnectionTimeMs) * (0.5 + Math.random());
  const heartbeat = inRange('heartbeatMs', heartbeatMs);

  const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache, no-transform' };
  res.writeHead(200, { ...headers, 'X-Accel-Buffering': 'no' });
  if (req.method === 'HEAD') return void res.end();
  const body: Writable = res;
  if ('flushHeaders' in res) res.flushHeaders(); // sending headers on their own saves 0.6 kB per stream
  body.write(formatRetry(Math.min(retry, MAX_MS)));
  if (res.hasHeader('Content-Encoding')) {
    res.destroy();
    throw new Error(
      'Content-Encoding: expected none, found a middleware that compresses, and so holds messages back',
    );
  }

  // A pipelined request waits: its response has no socket until those before it have ended.
  if (res.socket) process.nextTick(start, res, source, heartbeat);
  else res.on('socket', () => process.nextTick(start, res, source, heartbeat));
}

function start<E extends EventsOf<E>>(res: Response, source: Source<E>, heartbeatMs: number): void {
  const channel = 'stream' in res ? res.stream : res.socket;
  if (!channel || channel.destroyed) return;
  const stream = new Stream<E>(res, channel, heartbeatMs);
  void stream.run(source);
  res.on('close', () => stream.close().catch(console.error));
}

class Stream<E extends EventsOf<E>> implements EventStream<E> {
  readonly #res: Response;
  readonly #channel: Duplex & { setTimeout?(ms: number): unknown }; // the socket, or a stream of HTTP/2
  readonly #heartbeatMs: number;
  #stop: (() => void) | undefined;
  #controller: AbortController | undefined;
  #isEnded = false;
  #isClosed = false;
  #isStalled = false;
  #limit = Infinity;

  constructor(res: Response, channel: Duplex, heartbeatMs: number) {
    this.#res = res;
    this.#channel = channel;
    this.#heartbeatMs = heartbeatMs;
    res.on('timeout', () => this.#timeout());
    this.#channel.setTimeout?.(heartbeatMs || STALLED_AFTER_MS); // instead of the server's idle timeout
  }

  async run(source: Source<E>): Promise<void> {
    try {
      const result = source(this);
      if (typeof result === 'function') this.#stop = result;
      else if (typeof result?.then === 'function') await result.then(() => this.finish());
      else if (result !== undefined) throw expected('source', 'nothing, a function or a promise', result);
    } catch (error) {
      this.#fail(error);
    }
  }

  async close(): Promise<void> {
    this.#isEnded = this.#isClosed = true;
    this.#controller?.abort();
    await this.#stop?.();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isClosed) this.#controller.abort();
    return this.#controller.signal;
  }

  send<Id extends string | number>(message: Message<E, Id>): void {
    this.#put(formatMessage, message);
  }

  comment(text: string): void {
    this.#put(formatComment, text);
  }

  finish(): void {
    this.#put(formatEmpty, END_EVENT, true);
  }

  reconnectAfter(ms: number): void {
    this.#put(formatRetry, ms, true);
  }

  async ready(): Promise<void> {
    const { writableLength, writableHighWaterMark } = this.#channel;
    if (!this.#isEnded && writableLength < writableHighWaterMark) return;
    await once(this.#channel, 'drain', { signal: this.signal }).catch(() => {}); // rejects when it has closed
  }

  #put<Value>(format: (value: Value) => string, value: Value, isLast = false): void {
    if (this.#isEnded) return;
    try {
      const text = format(value);
      if (isLast) this.#end(text);
      else if (this.#isBehind()) this.#end('');
      else write(this.#res, text);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Closes the connection, too. With `Connection: close`, Node's fetch would take a cut for the end. */
  #end(text: string): void {
    this.#isEnded = true;
    this.#res.on('finish', () => this.#channel.end());
    this.#res.end(text);
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return; // errors after the client has left are ignored
    console.error(error);
    this.#isEnded = true;
    this.#res.destroy();
  }

  #isBehind(): boolean {
    const backlog = this.#channel.writableLength;
    if (backlog <= MAX_BUFFERED_BYTES) this.#limit = Infinity;
    else if (this.#limit === Infinity) {
      this.#limit = Number.MAX_VALUE; // no limit yet: the socket cannot drain during this turn
      setImmediate(() => (this.#limit = this.#channel.writableLength + MAX_BUFFERED_BYTES));
    }
    return backlog > this.#limit;
  }

  /** Nothing has been sent for a while, or the client has not taken it. */
  #timeout(): void {
    const wasStalled = this.#isStalled;
    this.#isStalled = this.#channel.writableLength > 0;
    if (this.#isStalled && wasStalled) return void this.#res.destroy();
    if (!this.#isStalled && this.#heartbeatMs > 0) this.#put(formatEmpty, HEARTBEAT_EVENT);
    this.#channel.setTimeout?.((!this.#isStalled && this.#heartbeatMs) || STALLED_AFTER_MS);
  }
}

/** One write where Node's `res.write` makes four: a fifth less CPU. Not used if `res.write` is wrapped. */
function write(res: Response, text: string): void {
  const isNative = res instanceof ServerResponse && res.write === ServerResponse.prototype.write;
  const writable: Writable = res;
  if (!isNative || !res.chunkedEncoding || !res.socket) writable.write(text);
  else res.socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

// The wire format: HTML, section 9.2, "Server-sent events".

/** The last event ID of a client that reconnects, or `''`. The header wins: it is newer. */
export function lastEventId({ headers, url }: Pick<IncomingMessage, 'headers' | 'url'>): string {
  const header = headers['last-event-id']; // sent as UTF-8, decoded by Node as Latin-1
  const query = new URLSearchParams(/\?(.*)/.exec(url ?? '')?.[1]).getAll('lastEventId');
  return typeof header === 'string' ? Buffer.from(header, 'latin1').toString() : query.join();
}

/** Writes a value as JSON text, on one line. */
export function json<Value>(value: Value): Json<Value>;
export function json(value: unknown): string {
  return JSON.stringify(value);
}

type Fields = { event?: PropertyKey; id?: string | number; data: string | number };

/** A message as it stands on the wire. Throws a `TypeError` for what does not fit there. */
export function formatMessage({ event, id, data }: Fields): string {
  if (event === 'open' || event === 'error' || event === END_EVENT) {
    throw expected('event', 'a name other than open, error and end', event);
  }
  if (typeof data !== 'string' && typeof data !== 'number') throw expected('data', 'text or a number', data);
  const eventField = event === undefined ? '' : `event: ${oneLine('event', event)}\n`;
  const idField = id === undefined ? '' : `id: ${oneLine('id', id)}\n`;
  return `${eventField}${idField}data: ${String(data).replaceAll(LINE_END, '\ndata: ')}\n\n`;
}

const formatComment = (text: string): string => `: ${text.replaceAll(LINE_END, '\n: ')}\n\n`;
const formatEmpty = (event: string): string => `event: ${event}\ndata: \n\n`;
const formatRetry = (ms: number): string => `retry: ${Math.round(inRange('retry', ms))}\n\n`;

/**
 * "Lines must be separated by either a CRLF character pair, a single LF character, or a single CR character."
 */
const LINE_END = /\r\n|\r|\n/g;

/** Line ends would inject fields, an empty ID clears the client's, control characters get lost. */
function oneLine(field: string, value: PropertyKey): string | number {
  if (typeof value === 'number' || (typeof value === 'string' && /^\P{Cc}+$/u.test(value))) return value;
  throw expected(field, 'one line of text or a number', value);
}

function inRange(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_MS) return ms;
  throw new RangeError(`${name}: expected 0 to 2^31 - 1 ms, found ${ms}`);
}

function expected(name: string, what: string, found: unknown): TypeError {
  const text = typeof found === 'string' ? JSON.stringify(found) : String(found);
  return new TypeError(`${name}: expected ${what}, found ${text}`);
}
