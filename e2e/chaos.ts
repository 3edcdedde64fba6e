import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import type { Browser, Page } from 'playwright-core';
import { BACKOFF_CAP_MS, createEventSource } from '../client/eventSource.ts';
import { launchBrowser } from './browser.ts';
import { startNginx } from './nginx.ts';
import { ended, startServer } from './processes.ts';
import { generator, randomSeed, type Random } from './random.ts';
import { startRelay, type Relay } from './relay.ts';

/** From one number to the next, on both servers. */
const TICK_MS = 200;

/** `STALE_AFTER_MS` in client/App.tsx, for the clients on Node too. */
const STALE_AFTER_MS = 5000;

/**
 * Once all is well again, each client counts within this time: its watchdog finds out, and its backoff has been the
 * longest. Twice, because on a busy machine the first attempt may not be answered before the watchdog.
 */
const RECOVERY_MS = 2 * (STALE_AFTER_MS + BACKOFF_CAP_MS);

/** How much later than it should anything may happen on a busy machine. */
const LATE_MS = 2000;

/** The share of its numbers that a client has at least received while it was not silent; a silence is longer than two ticks. */
const RHYTHM = 0.9;

/** All that happens in a round, on two sides of the network at the same time and on each in random order. */
const SIDES = [
  ['kill', 'kill', 'kill', 'terminate', 'stop', 'outage'],
  ['cut', 'cut', 'cut', 'freeze', 'pause', 'pause', 'offline', 'offline'],
] as const;

type Kind = (typeof SIDES)[number][number] | 'start';

export interface ChaosOptions {
  /** How long to go on, s; the last round, which is the first one too if need be, is played to its end. */
  seconds: number;
  /** Decides what happens in which order, to whom and for how long. */
  seed: number;
  /** Pages in a real browser, over HTTP/2. Default 3. */
  tabs?: number;
  /** Clients on Node with an independent EventSource, over HTTP/1.1. Default 200. */
  clients?: number;
  /** Called with a line for each thing that has happened. Default: nobody is told. */
  log?: (line: string) => void;
}

export interface ChaosReport {
  /** All that has happened, in order. */
  happened: Kind[];
  /** Received by all clients together, none of them lost and none twice. */
  numbers: number;
  longestSilenceMs: number;
  clients: number;
  seconds: number;
}

/** A client: when it began (ms since the epoch), and each text that it was shown. */
interface Client {
  name: string;
  from: number;
  record: { text: string; at: number }[];
}

/** Something to do to some of the clients. It is over when it has been undone. */
interface Plan {
  what: string;
  clients: readonly Client[];
  happen(): Promise<unknown>;
}

/** Something that was done, ms since the epoch. */
interface Trouble extends Plan {
  kind: Kind;
  from: number;
  to: number;
}

/** How to stop what was started, the last first. */
type Undo = (() => unknown)[];

/**
 * Starts two servers, nginx in front of them and clients that count, does to them what networks and operators do, and
 * heals it all. Throws, with the seed and all that has happened, unless each client was shown exactly 1, 2, 3, …, N and
 * N is what happened explains. Needs the built page.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seconds, seed, tabs = 3, clients = 200, log = () => {} } = options;
  const undo: Undo = [];
  const troubles: Trouble[] = [];
  const startedAt = Date.now();

  async function make(kind: Kind, plan: Plan): Promise<void> {
    const trouble = { ...plan, kind, from: Date.now(), to: Infinity };
    troubles.push(trouble);
    await plan.happen();
    trouble.to = Date.now();
    log(line(trouble, startedAt));
  }

  try {
    const world = await build(undo);
    await make('start', populate(world, tabs, clients, undo));

    const sides = SIDES.map((kinds, i) => ({ kinds, random: generator(seed + i) }));
    const until = Date.now() + seconds * 1000;
    do {
      const played = sides.map(async ({ kinds, random }) => {
        for (const kind of random.shuffled<keyof typeof PLANS>(kinds)) {
          await make(kind, PLANS[kind](world, random));
          await sleep(random.between(0, 500));
        }
      });
      // Not Promise.all: both sides must be at their ends before anything is stopped.
      for (const side of await Promise.allSettled(played)) if (side.status === 'rejected') throw side.reason;
      await allCount(world.clients);
    } while (Date.now() < until);

    const endedAt = Date.now();
    const silences = world.clients.map((client) => check(client, troubles, startedAt, endedAt));
    return {
      happened: troubles.map(({ kind }) => kind),
      numbers: world.clients.reduce((sum, { record }) => sum + record.length, 0),
      longestSilenceMs: Math.max(...silences),
      clients: tabs + clients,
      seconds: (endedAt - startedAt) / 1000,
    };
  } catch (cause) {
    const events = troubles.map((trouble) => line(trouble, startedAt)).join('\n');
    throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : cause}\n${events}`, { cause });
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** Each kind of event: to whom it happens, and what. */
const PLANS: Record<Exclude<Kind, 'start'>, (world: World, random: Random) => Plan> = {
  kill({ servers, clients }, random) {
    const server = random.one(servers);
    const happen = async (): Promise<void> => {
      await server.kill();
      await sleep(random.between(0, 1000));
      await server.start();
    };
    return { what: server.name, clients, happen };
  },

  terminate({ servers, clients }, random) {
    const server = random.one(servers);
    const happen = async (): Promise<void> => {
      await server.terminate();
      await server.start();
    };
    return { what: server.name, clients, happen };
  },

  outage({ servers, clients }, random) {
    const happen = async (): Promise<void> => {
      await Promise.all(servers.map((server) => server.kill()));
      await sleep(random.between(2000, 3000));
      await Promise.all(servers.map((server) => server.start()));
    };
    return { what: 'both servers', clients, happen };
  },

  stop({ servers, clients }, random) {
    const server = random.one(servers);
    const happen = async (): Promise<void> => {
      server.signal('SIGSTOP');
      await sleep(random.between(1000, 5000));
      server.signal('SIGCONT');
    };
    return { what: server.name, clients, happen };
  },

  cut({ relays, clients }, random) {
    const relay = random.one(relays);
    const ending = random.one(['FIN', 'RST'] as const);
    const happen = async (): Promise<void> => {
      relay.cut = { share: random.between(0, 1), ending };
      await sleep(2 * TICK_MS);
      relay.cut = undefined;
    };
    return { what: `${ending} ${relay.name}`, clients, happen };
  },

  // Not for the tabs: their streams share one HTTP/2 connection, new ones too, and Chromium needs 20 s to see that it is dead.
  freeze({ nginx, clients }, random) {
    const happen = async (): Promise<void> => {
      nginx.http.cut = { share: random.between(0, 1), ending: 'silence' };
      await sleep(1500); // longer than the reconnection time, so that it meets clients just after another cut too
      nginx.http.cut = undefined;
    };
    return { what: nginx.http.name, clients, happen };
  },

  pause({ tabs }, random) {
    const { name, page, clients } = random.one(tabs);
    const happen = async (): Promise<void> => {
      await page.getByRole('button', { name: 'Pause' }).click();
      await sleep(random.between(0, 2000));
      await page.getByRole('button', { name: 'Resume' }).click();
    };
    return { what: name, clients, happen };
  },

  offline({ tabs }, random) {
    const { name, page, clients } = random.one(tabs);
    const happen = async (): Promise<void> => {
      await page.context().setOffline(true);
      await sleep(random.between(0, 4000));
      await page.context().setOffline(false);
    };
    return { what: name, clients, happen };
  },
};

/** Throws unless the record is 1, 2, 3, …, N, and N is explained; returns the longest silence, ms. */
function check(client: Client, troubles: Trouble[], startedAt: number, endedAt: number): number {
  const { name, from, record } = client;
  const wrong = record.findIndex(({ text }, i) => text !== String(i + 1));
  if (wrong !== -1) {
    const around = record.slice(Math.max(0, wrong - 3), wrong + 4);
    const found = around.map(({ text, at }) => `${text} at ${clock(at, startedAt)}`).join(', ');
    throw new Error(`${name}: expected 1, 2, 3, …; not so from the ${wrong + 1}. number on: ${found}`);
  }

  let longest = 0;
  let counting = 0;
  let before = from;
  for (const at of [...record.map((shown) => shown.at), endedAt]) {
    const silence = at - before;
    longest = Math.max(longest, silence);
    const explained = troubles.some(
      (trouble) => trouble.clients.includes(client) && trouble.from < at && trouble.to + RECOVERY_MS > before,
    );
    if (silence > TICK_MS + LATE_MS && !explained) {
      throw new Error(
        `${name}: silent for ${silence} ms until ${clock(at, startedAt)}, and nothing had happened to it`,
      );
    }
    if (silence <= 2 * TICK_MS) counting += silence;
    before = at;
  }

  const least = Math.floor((counting / TICK_MS) * RHYTHM);
  const most = Math.ceil((endedAt - from) / TICK_MS) + 1;
  if (record.length < least || record.length > most) {
    throw new Error(`${name}: expected ${least} to ${most} numbers, found ${record.length}`);
  }
  return longest;
}

/** What stands between the clients and the count. */
interface World {
  servers: readonly Server[];
  relays: readonly Relay[];
  nginx: { http: Relay; https: Relay };
  browser: Browser;
  tabs: Tab[];
  clients: Client[];
}

/** A page in a browser of its own, and its two records: the number that it shows, and the frames in its table. */
interface Tab {
  name: string;
  page: Page;
  clients: Client[];
}

async function build(undo: Undo): Promise<World> {
  const [direct, relayed] = await Promise.all([keepServer(undo), keepServer(undo)]);
  // nginx is refused by the one when it is dead, and accepted and then cut off by the relay before the other.
  const relay = await startRelay(relayed.port, 'between nginx and a server', undo);
  const nginx = await startNginx([direct.port, relay.port]);
  undo.push(nginx.stop);
  const http = await startRelay(nginx.ports.http, 'between nginx and the clients on Node', undo);
  const https = await startRelay(nginx.ports.https, 'between nginx and the tabs', undo);
  const browser = await launchBrowser();
  undo.push(() => browser.close());
  return {
    servers: [direct, relayed],
    relays: [relay, http, https],
    nginx: { http, https },
    browser,
    tabs: [],
    clients: [],
  };
}

/** Opens the tabs and subscribes the clients on Node. */
function populate(
  { nginx, browser, tabs, clients }: World,
  tabCount: number,
  nodeCount: number,
  undo: Undo,
): Plan {
  const happen = async (): Promise<void> => {
    for (let n = 1; n <= tabCount; n += 1) {
      const tab = await openTab(browser, `tab ${n}`, `https://127.0.0.1:${nginx.https.port}/`);
      tabs.push(tab);
      clients.push(...tab.clients);
    }
    Object.assign(globalThis, { EventSource });
    undo.push(() => Reflect.deleteProperty(globalThis, 'EventSource'));
    for (let n = 1; n <= nodeCount; n += 1) {
      clients.push(subscribe(`client ${n}`, `http://127.0.0.1:${nginx.http.port}/count`, undo));
    }
    await allCount(clients);
  };
  return { what: `${tabCount} tabs and ${nodeCount} clients on Node`, clients, happen };
}

/** In the page, `handOn` reaches the tab's records. */
declare const handOn: (client: 'number' | 'frame', text: string, at: number) => void;

async function openTab(browser: Browser, name: string, url: string): Promise<Tab> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  const number: Client = { name: `${name}'s number`, from: Date.now(), record: [] };
  const frame: Client = { name: `${name}'s frames`, from: Date.now(), record: [] };
  await context.exposeBinding('handOn', (_source, client: string, text: string, at: number) => {
    (client === 'number' ? number : frame).record.push({ text, at });
  });
  await context.addInitScript(() => {
    new MutationObserver((mutations) => {
      const timer = document.querySelector('[role="timer"]');
      const changes = mutations.filter(
        ({ type, target }) => type === 'characterData' && target.parentNode === timer,
      );
      // Several changes may come at once: what one of them put there is the next one's old value.
      for (const [i] of changes.entries()) {
        handOn('number', changes[i + 1]?.oldValue ?? timer?.textContent ?? '', Date.now());
      }
      for (const row of mutations.flatMap(({ addedNodes }) => [...addedNodes])) {
        if (row instanceof HTMLTableRowElement && row.dataset['id'] !== undefined)
          handOn('frame', row.dataset['id'], Date.now());
      }
    }).observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
      characterDataOldValue: true,
    });
  });
  const page = await context.newPage();
  await page.goto(url);
  return { name, page, clients: [number, frame] };
}

function subscribe(name: string, url: string, undo: Undo): Client {
  const client: Client = { name, from: Date.now(), record: [] };
  const message = ({ data }: MessageEvent<string>): void => {
    client.record.push({ text: data, at: Date.now() });
  };
  const subscription = createEventSource(url, { message }, { staleAfterMs: STALE_AFTER_MS });
  subscription.resume();
  undo.push(subscription.pause);
  return client;
}

/** Waits until each client has received one more number; throws when one has not in time. */
async function allCount(clients: readonly Client[]): Promise<void> {
  const from = Date.now();
  const silent = (): Client[] => clients.filter(({ record }) => (record.at(-1)?.at ?? 0) <= from);
  while (silent().length > 0) {
    if (Date.now() > from + RECOVERY_MS + LATE_MS) {
      const names = silent().map(({ name, record }) => `${name} at ${record.length}`);
      throw new Error(`expected all clients to count again, found these silent: ${names.join(', ')}`);
    }
    await sleep(TICK_MS);
  }
}

/** A server that can be started again, on the same port. */
interface Server {
  name: string;
  port: number;
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Ends it with SIGTERM; throws unless it leaves with exit code 0. */
  terminate(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

async function keepServer(undo: Undo): Promise<Server> {
  const port = await quietPort();
  const launch = (): ReturnType<typeof startServer> =>
    startServer({ HOST: '127.0.0.1', PORT: String(port), TICK_MS: String(TICK_MS) });
  let running = await launch();
  const kill = (): unknown => running.child.kill('SIGKILL');
  process.once('exit', kill); // also when the run is interrupted
  undo.push(async () => {
    process.off('exit', kill);
    await running.stop();
  });
  return {
    name: `server ${port}`,
    port,
    async start() {
      running = await launch();
    },
    kill: () => running.stop(),
    async terminate() {
      running.child.kill('SIGTERM');
      const { code, signal, output } = await ended(running.child, running.output);
      if (code !== 0) throw new Error(`SIGTERM: expected exit code 0, found ${code ?? signal}: ${output}`);
    },
    signal: (name) => void running.child.kill(name),
  };
}

/**
 * A free port below those that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere): one of them
 * might else hold a dead server's port when that is to start again.
 */
async function quietPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.close();
    if (free) return port;
  }
}

/** The figures of a run, a line for each. */
export function inWords({ happened, clients, numbers, longestSilenceMs, seconds }: ChaosReport): string {
  const times = (kind: Kind): number => happened.filter((one) => one === kind).length;
  return [
    `${seconds.toFixed(0)} s, ${clients} clients`,
    `${times('kill') + 2 * times('outage')} servers killed, ${times('terminate')} terminated, ${times('stop')} stopped, ${times('outage')} times both down`,
    `${times('cut')} times all sockets of one place cut, ${times('freeze')} times frozen; ${times('pause')} tabs paused, ${times('offline')} offline`,
    `${numbers} numbers received, 0 lost, 0 twice, longest silence ${(longestSilenceMs / 1000).toFixed(1)} s`,
  ].join('\n');
}

function line({ kind, what, from, to }: Trouble, startedAt: number): string {
  return `${clock(from, startedAt)} to ${clock(to, startedAt)}: ${kind}, ${what}`;
}

function clock(at: number, startedAt: number): string {
  return `${((at - startedAt) / 1000).toFixed(1)} s`;
}

if (process.argv[1] === import.meta.filename) {
  const [minutes = '10', seed = String(randomSeed())] = process.argv.slice(2);
  if (!/^\d+(\.\d+)?$/.test(minutes) || !/^\d+$/.test(seed)) {
    console.error(
      `npm run chaos -- minutes seed: expected two numbers, found ${process.argv.slice(2).join(' ')}`,
    );
    process.exit(1);
  }
  console.log(`seed ${seed}`);
  const report = await runChaos({ seconds: Number(minutes) * 60, seed: Number(seed), log: console.log });
  console.log(inWords(report));
}
