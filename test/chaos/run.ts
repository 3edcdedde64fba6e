import { setTimeout as sleep } from 'node:timers/promises';
import { BACKOFF_CAP_MS } from '../../client/subscribe.ts';
import {
  buildWorld,
  populate,
  STALE_AFTER_MS,
  TICK_MS,
  type Client,
  type Undo,
  type World,
} from './world.ts';
import { generator, randomSeed, type Random } from '../support/random.ts';

/**
 * A client counts again within this time after the last trouble: its watchdog's time and the longest backoff.
 * Twice, because on a busy machine the first attempt may take longer than the watchdog allows.
 */
const RECOVERY_MS = 2 * (STALE_AFTER_MS + BACKOFF_CAP_MS);

/** How late anything may be on a busy machine. */
const LATE_MS = 2000;

/** The least share of its numbers that a client receives outside silences, which exceed two ticks. */
const RHYTHM = 0.9;

/** What happens in a round: on both sides of the network at the same time, on each in random order. */
const SIDES = [
  ['kill', 'kill', 'kill', 'terminate', 'stop', 'outage'],
  ['cut', 'cut', 'cut', 'freeze', 'pause', 'pause', 'offline', 'offline'],
] as const;

type Kind = (typeof SIDES)[number][number] | 'start';

export interface ChaosOptions {
  /** Seconds. The last round is played to its end, so there is at least one. */
  seconds: number;
  /** Decides what happens in which order, to whom and for how long. */
  seed: number;
  /** Pages in a real browser, over HTTP/2. Default 3. */
  tabs?: number;
  /** Clients on Node with an independent EventSource, over HTTP/1.1. Default 200. */
  clients?: number;
  /** Called with a line for each event. Default: not called. */
  log?: (line: string) => void;
}

export interface ChaosReport {
  /** All that has happened, in order. */
  happened: Kind[];
  /** Received by all clients together. */
  numbers: number;
  longestSilenceMs: number;
  clients: number;
  seconds: number;
}

/** Something that happens to some of the clients, and is undone again. */
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

/**
 * Starts two servers, nginx in front of them, and clients; does to them what networks and operators do, and
 * undoes it. Throws, with the seed and a list of the events, unless each client was shown exactly 1, 2, 3, …,
 * N, with no silence that the events do not explain. Needs the built page.
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
    const world = await buildWorld(undo);
    await make('start', {
      what: `${tabs} tabs and ${clients} clients on Node`,
      clients: world.clients,
      async happen() {
        await populate(world, tabs, clients, undo);
        await allCount(world.clients);
      },
    });

    const sides = SIDES.map((kinds, i) => ({ kinds, random: generator(seed + i) }));
    const until = Date.now() + seconds * 1000;
    do {
      const played = sides.map(async ({ kinds, random }) => {
        for (const kind of random.shuffled<keyof typeof PLANS>(kinds)) {
          await make(kind, PLANS[kind](world, random));
          await sleep(random.between(0, 500));
        }
      });
      // Not Promise.all: both sides must have ended before anything is stopped.
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

/** Each kind of event, and whom it affects. */
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

  // Not for the tabs: all their streams share one HTTP/2 connection, and Chromium takes 20 s to notice that
  // it is dead.
  freeze({ nginx, clients }, random) {
    const happen = async (): Promise<void> => {
      nginx.http.cut = { share: random.between(0, 1), ending: 'silence' };
      await sleep(1500); // longer than the reconnection time: it meets clients after another cut, too
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

/** Throws unless the record is 1, 2, 3, …, N, and N is plausible. Returns the longest silence, ms. */
function check(client: Client, troubles: Trouble[], startedAt: number, endedAt: number): number {
  const { name, from, record } = client;
  const wrong = record.findIndex(({ text }, i) => text !== String(i + 1));
  if (wrong !== -1) {
    const around = record.slice(Math.max(0, wrong - 3), wrong + 4);
    const found = around.map(({ text, at }) => `${text} at ${clock(at, startedAt)}`).join(', ');
    throw new Error(`${name}: expected 1, 2, 3, …; number ${wrong + 1} differs: ${found}`);
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

/** The figures of a run, in four lines. */
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
    console.error(`minutes seed: expected two numbers, found ${process.argv.slice(2).join(' ')}`);
    process.exit(1);
  }
  console.log(`seed ${seed}`);
  const report = await runChaos({ seconds: Number(minutes) * 60, seed: Number(seed), log: console.log });
  console.log(inWords(report));
}
