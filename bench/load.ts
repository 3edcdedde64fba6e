// The load, in a process of its own: any number of clients of one server. It checks every number that it
// receives, and takes its orders from processes.ts.
import { connect, type Socket } from 'node:net';

/** What this process can be told to do. It answers each order with a message when it is done. */
export type Order =
  | { do: 'open'; port: number; clients: number; overMs: number; tickMs: number; reconnects: boolean }
  | { do: 'close' }
  | { do: 'measure'; forMs: number }
  | { do: 'return' };

/** What arrived while `measure` lasted. */
export interface Received {
  frames: number;
  /** The 99th percentile of how much later than due frames arrived, in milliseconds. */
  latenessMs: number;
  /** Numbers that were left out, and numbers that are overdue by more than a tick. */
  lost: number;
  /** CPU that the load itself used, as a part of a core. Near 1, the load is the limit and not the server. */
  core: number;
}

/** How clients that lost their server came back. */
export interface Returned {
  /** Most connections within 100 ms. */
  busiest: number;
  /** From the first lost connection until the last client had its next number, in milliseconds. */
  lastAfterMs: number;
  lost: number;
  /** Clients whose numbers began again at 1. */
  startedOver: number;
}

interface Client {
  socket: Socket;
  /** When this connection's clock started, as far as known: see `receive`. 0 until the headers arrive. */
  startMs: number;
  /** Numbers since then. */
  ticks: number;
  /** The last number, and so the last event ID. */
  last: number;
  rest: string;
  reconnectionTimeMs: number;
  startedOver: boolean;
}

const BATCH_MS = 5;
const BUCKET_MS = 100;
const ANSWER_MS = 60_000;
/** Chrome's, for servers that send no `retry:`. Firefox waits 5 s, Safari 3 s. */
const DEFAULT_RECONNECTION_TIME_MS = 3000;
// Sockets are read one after another, so they share the memory that they read into.
const buffer = Buffer.allocUnsafe(64 * 1024);

let clients: Client[] = [];
let tickMs = 1000;
let latenessMs: number[] = [];
let skipped = 0;
let cutAtMs = 0;
let reconnectsAtMs: number[] = [];

process.on('message', async (order: Order) => {
  if (order.do === 'open') answer(await open(order));
  if (order.do === 'close') answer(close());
  if (order.do === 'measure') answer(await measure(order.forMs));
  if (order.do === 'return') answer(await allReturned());
});
process.on('disconnect', () => process.exit());

function answer(message: Received | Returned | 'open' | 'closed'): void {
  process.send?.(message);
}

/** Connects evenly over `overMs`, a whole number of ticks, so that ticks spread evenly too. */
async function open(order: Order & { do: 'open' }): Promise<'open'> {
  tickMs = order.tickMs;
  const startMs = performance.now();
  // Some servers send their headers with the first number only.
  await until(() => {
    const due = Math.min(
      order.clients,
      Math.ceil((order.clients * (performance.now() - startMs)) / order.overMs),
    );
    while (clients.length < due) clients.push(createClient(order));
    return clients.length === order.clients && clients.every((client) => client.startMs > 0);
  });
  return 'open';
}

function createClient({ port, reconnects }: Order & { do: 'open' }): Client {
  const client: Client = {
    socket: dial(0),
    startMs: 0,
    ticks: 0,
    last: 0,
    rest: '',
    reconnectionTimeMs: DEFAULT_RECONNECTION_TIME_MS,
    startedOver: false,
  };
  return client;

  function dial(lastEventId: number): Socket {
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } });
    const resume = lastEventId > 0 ? `Last-Event-ID: ${lastEventId}\r\n` : '';
    socket.write(`GET /count HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`);
    if (lastEventId > 0) socket.on('connect', () => reconnectsAtMs.push(performance.now()));
    // A server that is slow to accept connections has some reset by the system, before they are answered.
    socket.on('error', (error) => reconnects || client.startMs === 0 || fail(String(error)));
    socket.on('close', () => {
      if (reconnects || client.startMs === 0) reconnect();
      else fail('the server closed a connection');
    });
    return socket;
  }

  // "Wait a delay equal to the reconnection time of the event source": HTML, section 9.2, and no backoff.
  function reconnect(): void {
    if (client.last > 0) cutAtMs ||= performance.now();
    Object.assign(client, { startMs: 0, ticks: 0, rest: '' });
    setTimeout(() => (client.socket = dial(client.last)), client.reconnectionTimeMs);
  }

  function callback(bytes: number): boolean {
    receive(client, client.rest + buffer.toString('latin1', 0, bytes), performance.now());
    return true;
  }
}

function close(): 'closed' {
  for (const { socket } of clients) socket.removeAllListeners('close').destroy();
  clients = [];
  return 'closed';
}

/**
 * Checks the numbers that have arrived. A connection's clock starts when its headers arrive, or earlier where
 * a number proves it: tick n is due n ticks after the start, and no number can come early. So the least time
 * on the way is left out, and a server that sends the first number sooner, as this one does by up to 10 ms,
 * is measured by its own earliest number.
 */
function receive(client: Client, text: string, nowMs: number): void {
  if (client.startMs === 0) {
    if (!text.startsWith('HTTP/1.1 200')) fail(`expected 200, found ${text}`);
    client.startMs = nowMs;
  }
  if (client.ticks === 0) {
    const retry = /\nretry: ?(\d+)\n/.exec(text)?.[1];
    if (retry !== undefined) client.reconnectionTimeMs = Number(retry);
  }
  let read = 0;
  for (;;) {
    const from = text.indexOf('data:', read);
    const to = from < 0 ? -1 : text.indexOf('\n', from);
    if (to < 0) break;
    check(client, Number(text.slice(from + 5, to)));
    read = to + 1;
    client.ticks += 1;
    client.startMs = Math.min(client.startMs, nowMs - client.ticks * tickMs);
    latenessMs.push(nowMs - client.startMs - client.ticks * tickMs);
  }
  client.rest = text.slice(Math.max(read, text.length - 64));
}

function check(client: Client, n: number): void {
  const expected = client.last + 1;
  if (n > expected) skipped += n - expected;
  else if (n === 1 && client.ticks === 0 && client.last > 0) client.startedOver = true;
  else if (n !== expected) fail(`expected ${expected}, found ${n}`);
  client.last = n;
}

async function measure(forMs: number): Promise<Received> {
  latenessMs = [];
  skipped = 0;
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, forMs));
  const { user, system } = process.cpuUsage(cpu);
  const nowMs = performance.now();
  const sorted = Float64Array.from(latenessMs).toSorted();
  const overdue = clients.map((client) => Math.floor((nowMs - client.startMs) / tickMs) - 1 - client.ticks);
  return {
    frames: sorted.length,
    latenessMs: sorted[Math.floor(0.99 * (sorted.length - 1))] ?? NaN,
    lost: skipped + overdue.reduce((sum, numbers) => sum + Math.max(0, numbers), 0),
    core: (user + system) / 1000 / (nowMs - startMs),
  };
}

/** Waits until each client, all of which have lost their connection, has its next number. */
async function allReturned(): Promise<Returned> {
  await until(() => reconnectsAtMs.length >= clients.length && clients.every(({ ticks }) => ticks > 0));
  const inBuckets = reconnectsAtMs.map(
    (fromMs) => reconnectsAtMs.filter((atMs) => atMs >= fromMs && atMs < fromMs + BUCKET_MS).length,
  );
  return {
    busiest: Math.max(...inBuckets),
    lastAfterMs: performance.now() - cutAtMs,
    lost: skipped,
    startedOver: clients.filter(({ startedOver }) => startedOver).length,
  };
}

async function until(isDone: () => boolean): Promise<void> {
  const startMs = performance.now();
  while (!isDone()) {
    if (performance.now() - startMs > ANSWER_MS) fail(`expected all numbers within ${ANSWER_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
  }
}

function fail(line: string): never {
  console.error(`load: ${line}`);
  process.exit(1);
}
