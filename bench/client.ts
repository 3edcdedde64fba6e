// The load, in a process of its own: any number of connections to one server. Every number is checked: each connection
// must count 1, 2, 3, … or this process says so and ends with code 1. It takes its orders from processes.ts.
import { connect, type Socket } from 'node:net';

/** What this process can be told to do; each is answered with a message when it is done. */
export type Order =
  | { do: 'open'; port: number; connections: number; overMs: number; tickMs: number }
  | { do: 'close'; connections: number }
  | { do: 'measure'; forMs: number };

/** What came in while `measure` lasted. */
export interface Received {
  frames: number;
  /** Milliseconds that a frame came later than its connection's clock says. */
  lateness: { p50: number; p99: number; max: number };
  /** How much longer than a tick the connections' ticks were: numbers lost as a part of numbers due, the median of all. */
  drift: number;
  /** Numbers, of all connections, that were due more than a tick ago and have not come. */
  missing: number;
  /** This process's own CPU, as a part of one core: near 1, the load is the limit and not the server. */
  clientCpu: number;
}

interface Connection {
  socket: Socket;
  /** When the clock of this connection started, as far as is known: see `receive`. */
  start: number;
  count: number;
  /** When the last number arrived. */
  at: number;
  rest: string;
}

const BATCH_MS = 5;
const ANSWER_MS = 30_000;
// Sockets read one after another, so they can share the memory that they read into.
const buffer = Buffer.allocUnsafe(64 * 1024);
const connections: Connection[] = [];
let tick = 1000;
let lateness: number[] = [];

process.on('message', (order: Order) => {
  if (order.do === 'open') open(order);
  if (order.do === 'close') close(order.connections);
  if (order.do === 'measure') measure(order.forMs);
});
process.on('disconnect', () => process.exit());

/** Opens connections evenly over `overMs`, a whole number of ticks, so that their ticks spread evenly too. */
function open({ port, connections: wanted, overMs, tickMs }: Order & { do: 'open' }): void {
  tick = tickMs;
  const start = performance.now();
  let opened = 0;
  const batch = setInterval(() => {
    const due = Math.min(wanted, Math.ceil((wanted * (performance.now() - start)) / overMs));
    for (; opened < due; opened += 1) connections.push(openOne(port));
    if (performance.now() - start > overMs + ANSWER_MS) fail(`not every answer came within ${ANSWER_MS} ms`);
    // Some servers send their headers with the first number only.
    if (opened < wanted || connections.some((connection) => connection.start === 0)) return;
    clearInterval(batch);
    process.send?.('open');
  }, BATCH_MS);
}

function openOne(port: number): Connection {
  const socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } });
  const connection: Connection = { socket, start: 0, count: 0, at: 0, rest: '' };
  socket.write('GET /count HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n');
  socket
    .on('error', (error) => fail(String(error)))
    .on('close', () => fail('the server closed a connection'));
  return connection;

  function callback(bytes: number): boolean {
    receive(connection, connection.rest + buffer.toString('latin1', 0, bytes), performance.now());
    return true;
  }
}

/** Closes every k-th connection, so that the ticks of the others still spread evenly. */
function close(unwanted: number): void {
  const total = connections.length;
  const kept = connections.filter(({ socket }, i) => {
    const keep = Math.floor(((i + 1) * unwanted) / total) === Math.floor((i * unwanted) / total);
    if (!keep) socket.removeAllListeners('close').destroy();
    return keep;
  });
  connections.splice(0, total, ...kept);
  process.send?.('closed');
}

/**
 * Checks the numbers in what has arrived. A connection's clock starts when its headers arrive, or earlier where a number
 * proves it: number n is due n ticks after the start, so that none can come early. What the way takes at least is left out,
 * and who sends the first number sooner, as this server does by up to 10 ms, is measured by its own earliest.
 */
function receive(connection: Connection, text: string, now: number): void {
  if (connection.start === 0) {
    if (!text.startsWith('HTTP/1.1 200')) fail(`expected 200, received ${text}`);
    connection.start = now;
  }
  let read = 0;
  for (;;) {
    const from = text.indexOf('data:', read);
    const to = from < 0 ? -1 : text.indexOf('\n', from);
    if (to < 0) break;
    const n = Number(text.slice(from + 5, to));
    read = to + 1;
    connection.count += 1;
    if (n !== connection.count) fail(`expected ${connection.count}, received ${n}`);
    connection.start = Math.min(connection.start, now - n * tick);
    connection.at = now;
    lateness.push(now - connection.start - n * tick);
  }
  connection.rest = text.slice(Math.max(read, text.length - 64));
}

function measure(forMs: number): void {
  lateness = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  const before = connections.map(({ count, at }) => ({ count, at }));
  setTimeout(() => {
    const { user, system } = process.cpuUsage(cpu);
    const clientCpu = (user + system) / 1000 / (performance.now() - start);
    const sorted = Float64Array.from(lateness).toSorted();
    const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? NaN;
    const drifts = connections
      .flatMap(({ count, at: last }, i) => {
        const { count: earlier = 0, at: first = 0 } = before[i] ?? {};
        return earlier > 0 && count > earlier ? (last - first) / ((count - earlier) * tick) - 1 : [];
      })
      .toSorted((a, b) => a - b);
    const now = performance.now();
    const missing = connections.reduce(
      (sum, { start: from, count }) => sum + Math.max(0, Math.floor((now - from) / tick) - 1 - count),
      0,
    );
    const received: Received = {
      frames: sorted.length,
      lateness: { p50: at(0.5), p99: at(0.99), max: at(1) },
      drift: drifts[drifts.length >> 1] ?? NaN,
      missing,
      clientCpu,
    };
    process.send?.(received);
  }, forMs);
}

function fail(line: string): never {
  console.error(`load: ${line}`);
  process.exit(1);
}
