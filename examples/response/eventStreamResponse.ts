import type { Events, EventStream, EventStreamOptions, Source } from '../../server/eventStream.ts';
import { END_EVENT, HEARTBEAT_EVENT, MAX_BUFFERED_BYTES } from '../../server/eventStream.ts';
import { formatComment, formatControlEvent, formatMessage, formatRetry } from '../../server/eventStream.ts';

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
};
const encoder = new TextEncoder();
/** Edge runtimes have no `setImmediate`, or one that throws. `setTimeout` takes a millisecond. */
const inLaterTurn = globalThis.process?.versions?.node ? setImmediate : setTimeout;

/**
 * Answers a request with an event stream (HTML, section 9.2), for handlers that return a `Response`. The source,
 * the options and the wire format are those of `openEventStream`. HEAD gets only the headers. The source starts
 * when the body is first read. Throws a `RangeError` for a bad option.
 */
export function eventStreamResponse<E extends { [Name in keyof E]: string | number } = Events>(
  request: Request,
  source: Source<E>,
  { reconnectionTimeMs = 1000, heartbeatMs = 15_000, controlEvents = true }: EventStreamOptions = {},
): Response {
  const retry = formatRetry(reconnectionTimeMs * (0.5 + Math.random()));
  formatRetry(heartbeatMs); // throws for what timers do not accept
  if (request.method === 'HEAD') return new Response(null, { headers: HEADERS });

  const closing = new AbortController();
  const waiting = [start]; // until all that was sent has been read
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let timer: ReturnType<typeof setInterval> | undefined;
  let stop: (() => void) | undefined;
  let limit = Infinity;
  const backlog = (): number => -(controller.desiredSize ?? 0); // bytes that the client's side has not read
  const wake = (): void => waiting.splice(0).forEach((go) => go());

  const stream: EventStream<E> = {
    signal: closing.signal,
    send: (message) => attempt(() => write(formatMessage(message))),
    comment: (text) => attempt(() => write(formatComment(text))),
    finish: () => attempt(() => end(controlEvents ? formatControlEvent(END_EVENT) : '')),
    reconnectAfter: (ms) => attempt(() => end(formatRetry(ms))),
    async ready() {
      await new Promise<void>((resolve) => void inLaterTurn(resolve));
      if (backlog() > MAX_BUFFERED_BYTES) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
  const body = new ReadableStream<Uint8Array>(
    { start: (its) => void (controller = its), pull: wake, cancel: () => attempt(close) },
    { highWaterMark: 0, size: (chunk) => chunk.byteLength }, // 0: `pull` is called when all has been read
  );
  // When the client leaves, some frameworks only cancel the body, and others only abort this signal.
  const leave = (): void => attempt(() => end(''));
  request.signal.addEventListener('abort', leave);
  if (request.signal.aborted) leave();
  return new Response(body, { headers: HEADERS });

  function start(): void {
    attempt(() => {
      write(retry);
      const result = source(stream) as (() => void) | Promise<void> | undefined;
      if (typeof result === 'function') stop = result;
      else result?.then(stream.finish, fail);
    });
  }

  function attempt(action: () => void): void {
    if (closing.signal.aborted) return;
    try {
      action();
    } catch (error) {
      fail(error);
    }
  }

  function write(text: string): void {
    if (backlog() <= MAX_BUFFERED_BYTES) limit = Infinity;
    else if (limit === Infinity) inLaterTurn(() => (limit = backlog() + MAX_BUFFERED_BYTES)); // after the burst
    if (backlog() > limit) return end('');
    clearInterval(timer);
    if (heartbeatMs > 0) timer = setInterval(beat, heartbeatMs);
    controller.enqueue(encoder.encode(text)); // the last step: Deno may find here that the client has left
  }

  function beat(): void {
    if (backlog() > 0) return;
    attempt(() => write(controlEvents ? formatControlEvent(HEARTBEAT_EVENT) : formatComment('')));
  }

  function end(text: string): void {
    if (text !== '') controller.enqueue(encoder.encode(text));
    controller.close();
    close();
  }

  function fail(error: unknown): void {
    if (closing.signal.aborted) return; // errors after the client has left are ignored
    console.error(error);
    controller.error(error); // cuts the response: a clean end would look like the last message
    close();
  }

  function close(): void {
    clearInterval(timer);
    closing.abort();
    wake();
    // In a later microtask: a source that has finished at once has yet to return it.
    Promise.resolve()
      .then(() => stop?.())
      .catch(console.error);
  }
}
