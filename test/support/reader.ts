import { get, type ClientRequest } from 'node:http';

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
    let rest = '';
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
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) take(block);
      });
    });
  }

  function take(block: string): void {
    const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line) ?? []);
    const value = (name: string): string | undefined => fields.find(([, field]) => field === name)?.[2];
    const data = value('data');
    lastId = value('id') ?? lastId;
    const event = value('event') ?? 'message';
    if (data !== undefined && event !== 'heartbeat') received.push({ event, id: lastId, data });
    if (event === 'end') leave();
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
