import { get, type ClientRequest } from 'node:http';
import { createParser } from 'eventsource-parser';

/** A message as it came. */
export interface Received {
  event: string;
  id: string;
  data: string;
}

/** A client that is not ours: reads a stream, and reconnects with the last ID until the event `end`. */
export interface Reader {
  readonly received: readonly Received[];
  /** Cuts the connection; the reader comes back. */
  cut(): void;
  /** Leaves until `connect` is called. */
  leave(): void;
  connect(): void;
}

/** A reader comes back after a random part of this time. */
const BACK_WITHIN_MS = 200;

/** Connects a reader. Its first request carries this ID; default: none. Whoever calls lets it leave. */
export function startReader(url: string, firstId = '', headers: Record<string, string> = {}): Reader {
  const received: Received[] = [];
  let lastId = firstId;
  let request: ClientRequest | undefined;
  let timer: NodeJS.Timeout | undefined;

  function connect(): void {
    const parser = createParser({
      onEvent({ event = 'message', id = lastId, data }) {
        lastId = id;
        if (event !== 'heartbeat') received.push({ event, id, data });
        if (event === 'end') leave();
      },
    });
    const current = get(url, {
      agent: false,
      headers: lastId === '' ? headers : { ...headers, 'Last-Event-ID': lastId },
    });
    request = current;
    current.on('error', () => {});
    current.on('close', () => {
      if (request === current) timer = setTimeout(connect, Math.random() * BACK_WITHIN_MS);
    });
    current.on('response', (response) => {
      response.on('error', () => {});
      if (response.statusCode !== 200) return void response.resume();
      response.setEncoding('utf8').on('data', (chunk: string) => parser.feed(chunk));
    });
  }

  function leave(): void {
    const current = request;
    request = undefined;
    clearTimeout(timer);
    current?.destroy();
  }

  connect();
  return { received, connect, leave, cut: () => void request?.destroy() };
}
