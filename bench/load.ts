// Many clients of one server, in a process of its own. They check every number that arrives, as measure.ts asks.
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What one server did in one round. */
export interface Sample {
  /** CPU of the server per frame, in µs. */
  cpu: number;
  /** By how much the server's resident memory grew, in kB per open connection. */
  kilobytes: number;
  /** The 99th percentile of how much later than due frames arrived, in milliseconds. */
  latenessMs: number;
  /** Numbers that were left out, and numbers that are overdue by more than a tick. */
  lost: number;
  /** CPU of the load, as a part of a core. Near 1, the load is the limit and not the server. */
  core: number;
}

/** How clients whose server was killed came back. */
export interface Storm {
  /** Most connections within 100 ms. */
  busiest: number;
  /** From the first lost connection until the last client had its next number, in seconds. */
  lastAfterS: number;
  lost: number;
  /** Clients whose numbers began again at 1. */
  startedOver: number;
}

type Client = ReturnType<typeof createClient>;

const TICK_MS = 1000;
/** Above this, the slowest servers are still accepting connections when the measuring begins. */
const CONNECTS_PER_SECOND = 2500;
const WARM_UP_CLIENTS = 500;
const BUCKET_MS = 100;
const ANSWER_MS = 60_000;
/** Chrome's, for servers that send no `retry:`. Firefox waits 5 s, Safari 3 s. */
const DEFAULT_RECONNECTION_TIME_MS = 3000;
/** Sockets are read one after another, so they share the memory that they read into. */
const buffer = Buffer.allocUnsafe(64 * 1024);

const [port = 0, pid = 0, count = 0, measuredMs = 0] = process.argv.slice(2).map(Number);
const isStorm = measuredMs === 0;
let clients: Client[] = [];
let latenessMs: number[] = [];
let skipped = 0;
let cutAtMs = 0;
const reconnectsAtMs: number[] = [];

console.log(JSON.stringify(isStorm ? await storm() : await measure()));
process.exit();

/** Measures after code and heap have been warmed up. */
async function measure(): Promise<Sample> {
  await open(Math.min(WARM_UP_CLIENTS, count));
  await sleep(TICK_MS);
  for (const { socket } of clients) socket?.removeAllListeners('close').destroy();
  clients = [];
  await sleep(TICK_MS / 2);
  const idleKilobytes = residentKilobytes();

  await open(count);
  await sleep(TICK_MS);
  [latenessMs, skipped] = [[], 0];
  const startMs = performance.now();
  const before = cpuMicroseconds();
  const own = process.cpuUsage();
  await sleep(measuredMs);
  const cpu = cpuMicroseconds() - before;
  const { user, system } = process.cpuUsage(own);
  const nowMs = performance.now();
  const overdue = clients.map(({ startMs: from, ticks }) => Math.floor((nowMs - from) / TICK_MS) - 1 - ticks);
  const frames = latenessMs.length;
  return {
    cpu: cpu / frames,
    kilobytes: (residentKilobytes() - idleKilobytes) / count,
    latenessMs: Float64Array.from(latenessMs).toSorted()[Math.floor(0.99 * (frames - 1))] ?? NaN,
    lost: overdue.reduce((sum, numbers) => sum + Math.max(0, numbers), skipped),
    core: (user + system) / 1000 / (nowMs - startMs),
  };
}

/** Kills the server, which measure.ts starts again, and waits until each client has its next number. */
async function storm(): Promise<Storm> {
  await open(count);
  await sleep(2 * TICK_MS);
  process.kill(pid, 'SIGKILL');
  await until(() => reconnectsAtMs.length >= count && clients.every(({ ticks }) => ticks > 0));
  const inBuckets = reconnectsAtMs.map(
    (fromMs) => reconnectsAtMs.filter((atMs) => atMs >= fromMs && atMs < fromMs + BUCKET_MS).length,
  );
  return {
    busiest: Math.max(...inBuckets),
    lastAfterS: (performance.now() - cutAtMs) / 1000,
    lost: skipped,
    startedOver: clients.filter(({ startedOver }) => startedOver).length,
  };
}

/** Connects evenly over a whole number of ticks, so that ticks spread evenly too. */
async function open(wanted: number): Promise<void> {
  const overMs = Math.ceil(wanted / CONNECTS_PER_SECOND) * TICK_MS;
  const startMs = performance.now();
  await until(() => {
    const due = Math.min(wanted, Math.ceil((wanted * (performance.now() - startMs)) / overMs));
    while (clients.length < due) clients.push(createClient());
    return due === wanted && clients.every((client) => client.startMs > 0);
  });
}

function createClient() {
  const client = {
    socket: undefined as Socket | undefined,
    /** When this connection's clock started, as far as known: see `receive`. 0 until the headers arrive. */
    startMs: 0,
    /** Numbers since then. */
    ticks: 0,
    /** The last number, and so the last event ID. */
    last: 0,
    rest: '',
    reconnectionTimeMs: DEFAULT_RECONNECTION_TIME_MS,
    startedOver: false,
  };
  dial();
  return client;

  function dial(): void {
    const resume = client.last > 0 ? `Last-Event-ID: ${client.last}\r\n` : '';
    client.socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } })
      .on('connect', () => client.last > 0 && reconnectsAtMs.push(performance.now()))
      .on('error', () => {}) // `close` follows
      .on('close', reconnect);
    client.socket.write(
      `GET /count HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`,
    );
  }

  // "Wait a delay equal to the reconnection time of the event source": HTML, section 9.2, and no backoff.
  function reconnect(): void {
    // A server that is slow to accept connections has some reset by the system, before they are answered.
    if (!isStorm && client.startMs > 0) fail('the server closed a connection');
    if (client.last > 0) cutAtMs ||= performance.now();
    Object.assign(client, { startMs: 0, ticks: 0, rest: '' });
    setTimeout(dial, client.reconnectionTimeMs);
  }

  function callback(bytes: number): boolean {
    receive(client, client.rest + buffer.toString('latin1', 0, bytes), performance.now());
    return true;
  }
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
    client.startMs = Math.min(client.startMs, nowMs - client.ticks * TICK_MS);
    latenessMs.push(nowMs - client.startMs - client.ticks * TICK_MS);
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

/** The CPU that the server has used, with all of its threads, in µs. */
function cpuMicroseconds(): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return sum + Number(nanoseconds) / 1000;
  }, 0);
}

/** The server's resident memory. Buffers of sockets are the kernel's, and not in it. */
function residentKilobytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

async function until(isDone: () => boolean): Promise<void> {
  const startMs = performance.now();
  while (!isDone()) {
    if (performance.now() - startMs > ANSWER_MS) fail(`expected all numbers within ${ANSWER_MS} ms`);
    await sleep(5);
  }
}

function fail(line: string): never {
  console.error(line);
  process.exit(1);
}
