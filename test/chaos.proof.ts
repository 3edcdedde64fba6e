import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import type { Browser, Page } from 'playwright-core';
import { onTestFinished, test } from 'vitest';
import { subscribe } from '../client/subscribe.ts';
import { isBrowserMissing, launchBrowser } from './support/browser.ts';
import { isNginxMissing, startNginx } from './support/nginx.ts';
import { ended, freePort, startServer } from './support/processes.ts';
import { generator, type Random } from './support/random.ts';
import { startRelay, type Relay } from './support/relay.ts';
import { seed, times } from './support/run.ts';

/** From one number to the next, on both servers. */
const TICK_MS = 200;

/** `STALE_AFTER_MS` in client/App.tsx, for the clients on Node too. */
const STALE_AFTER_MS = 10_000;

/**
 * A client counts again within this time after the last trouble: its watchdog's time and the longest backoff.
 * Twice, because on a busy machine the first attempt may take longer than the watchdog allows.
 */
const RECOVERY_MS = 2 * (STALE_AFTER_MS + 30_000);

/** How late anything may be on a busy machine. */
const LATE_MS = 2000;

/** The least share of its numbers that a client receives outside silences, which exceed two ticks. */
const RHYTHM = 0.9;

const TABS = 3;
const CLIENTS = 200;

/** What happens in a round: on both sides of the network at the same time, on each in random order. */
const SIDES = [
  ['kill', 'kill', 'kill', 'terminate', 'stop', 'outage'],
  ['cut', 'cut', 'cut', 'freeze', 'pause', 'pause', 'offline', 'offline'],
] as const;
type Kind = (typeof SIDES)[number][number];

/** A client: when it began (ms since the epoch), and each text that it was shown. */
interface Client {
  name: string;
  from: number;
  shown: { text: string; at: number }[];
}

/** Something that happens, whom it concerns, and when it began and was undone, ms since the epoch. */
interface Trouble {
  what: string;
  clients: readonly Client[];
  from: number;
  to: number;
}

/** What stands between the clients and the count. */
interface World {
  servers: readonly Server[];
  /** Between nginx and a server, nginx and the clients on Node, nginx and the tabs. */
  relays: readonly [Relay, Relay, Relay];
  tabs: (Client & { page: Page })[];
  clients: readonly Client[];
}

/** A server that can be started again on the same port. */
type Server = Awaited<ReturnType<typeof keepServer>>;

// HTTP/1.1 for clients on Node, with an EventSource that is not a browser's; HTTP/2 for pages in a browser.
test.skipIf(isNginxMissing() || isBrowserMissing())(
  'two servers behind nginx lose no number and repeat none, whatever happens to them, to the network and to the tabs',
  { timeout: 3 * RECOVERY_MS * (times + 1) },
  async () => {
    const startedAt = Date.now();
    const troubles: Trouble[] = [];
    const clock = (at: number): string => `${((at - startedAt) / 1000).toFixed(1)} s`;
    try {
      const world = await buildWorld();
      troubles.push({ what: 'start', clients: world.clients, from: startedAt, to: Date.now() });
      await allCount(world.clients);
      for (let round = 0; round < times; round += 1) {
        const played = SIDES.map(async (kinds, side) => {
          const random = generator(seed + 2 * round + side);
          for (const kind of random.shuffled<Kind>(kinds)) {
            const trouble: Trouble = { what: kind, clients: world.clients, from: Date.now(), to: Infinity };
            troubles.push(trouble);
            await TROUBLES[kind](trouble, world, random);
            trouble.to = Date.now();
            await sleep(random.between(0, 500));
          }
        });
        // Not Promise.all: both sides must have ended before anything is stopped.
        for (const side of await Promise.allSettled(played))
          if (side.status === 'rejected') throw side.reason;
        await allCount(world.clients);
      }
      const silences = world.clients.map((client) => check(client, troubles, Date.now()));
      const numbers = world.clients.reduce((sum, { shown }) => sum + shown.length, 0);
      console.log(
        `${troubles.length} troubles in ${clock(Date.now())}: ${numbers} numbers at ${world.clients.length} clients, none lost, none twice; longest silence ${Math.max(...silences)} ms`,
      );
    } catch (cause) {
      const events = troubles.map(({ what, from, to }) => `${clock(from)} to ${clock(to)}: ${what}`);
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`PROOF_SEED=${seed}: ${message}\n${events.join('\n')}`, { cause });
    }
  },
);

/** Each kind of trouble. It adds whom it concerns; default: all clients. */
const TROUBLES: Record<Kind, (trouble: Trouble, world: World, random: Random) => Promise<void>> = {
  async kill(trouble, { servers }, random) {
    const server = concerning(random.one(servers), trouble);
    await server.kill();
    await sleep(random.between(0, 1000));
    await server.start();
  },

  async terminate(trouble, { servers }, random) {
    const server = concerning(random.one(servers), trouble);
    await server.terminate();
    await server.start();
  },

  async outage(_trouble, { servers }, random) {
    await Promise.all(servers.map((server) => server.kill()));
    await sleep(random.between(2000, 3000));
    await Promise.all(servers.map((server) => server.start()));
  },

  async stop(trouble, { servers }, random) {
    const server = concerning(random.one(servers), trouble);
    server.signal('SIGSTOP');
    await sleep(random.between(1000, 5000));
    server.signal('SIGCONT');
  },

  async cut(trouble, { relays }, random) {
    const relay = concerning(random.one(relays), trouble);
    relay.cut = { share: random.between(0, 1), ending: random.one(['FIN', 'RST'] as const) };
    trouble.what += ` by ${relay.cut.ending}`;
    await sleep(2 * TICK_MS);
    relay.cut = undefined;
  },

  // Not for the tabs: all their streams share one HTTP/2 connection, and Chromium takes 20 s to notice that
  // it is dead.
  async freeze(_trouble, { relays: [, relay] }, random) {
    relay.cut = { share: random.between(0, 1), ending: 'silence' };
    await sleep(1500); // longer than the reconnection time: it meets clients after another cut, too
    relay.cut = undefined;
  },

  async pause(trouble, { tabs }, random) {
    const { page } = concerning(random.one(tabs), trouble);
    await page.getByRole('button', { name: 'Pause' }).click();
    await sleep(random.between(0, 2000));
    await page.getByRole('button', { name: 'Resume' }).click();
  },

  async offline(trouble, { tabs }, random) {
    const { page } = concerning(random.one(tabs), trouble);
    await page.context().setOffline(true);
    await sleep(random.between(0, 4000));
    await page.context().setOffline(false);
  },
};

/** Notes what a trouble concerns: a tab's are its own, all others may be anybody's. */
function concerning<One extends { name: string }>(one: One, trouble: Trouble): One {
  trouble.what += ` ${one.name}`;
  if ('page' in one) trouble.clients = trouble.clients.filter(({ name }) => name === one.name);
  return one;
}

/** Throws unless a client was shown 1, 2, 3, …, N, and N is plausible. Returns its longest silence, ms. */
function check(client: Client, troubles: readonly Trouble[], endedAt: number): number {
  const { name, from, shown } = client;
  const wrong = shown.findIndex(({ text }, i) => text !== String(i + 1));
  if (wrong !== -1) {
    const around = shown
      .slice(Math.max(0, wrong - 3), wrong + 4)
      .map(({ text, at }) => `${text} at ${at - from} ms`);
    throw new Error(`${name}: expected 1, 2, 3, …, found ${around.join(', ')}`);
  }
  let [longest, counting, before] = [0, 0, from];
  for (const at of [...shown.map((one) => one.at), endedAt]) {
    const silence = at - before;
    const isExplained = troubles.some(
      (trouble) => trouble.clients.includes(client) && trouble.from < at && trouble.to + RECOVERY_MS > before,
    );
    if (silence > TICK_MS + LATE_MS && !isExplained)
      throw new Error(`${name}: silent for ${silence} ms, and nothing had happened to it`);
    if (silence <= 2 * TICK_MS) counting += silence;
    longest = Math.max(longest, silence);
    before = at;
  }
  const least = Math.floor((counting / TICK_MS) * RHYTHM);
  const most = Math.ceil((endedAt - from) / TICK_MS) + 1;
  if (shown.length < least || shown.length > most)
    throw new Error(`${name}: expected ${least} to ${most} numbers, found ${shown.length}`);
  return longest;
}

/** Waits until each client is shown one more number. Throws when one is not in time. */
async function allCount(clients: readonly Client[]): Promise<void> {
  const from = Date.now();
  for (;;) {
    const silent = clients.filter(({ shown }) => (shown.at(-1)?.at ?? 0) <= from);
    if (silent.length === 0) return;
    const names = silent.map(({ name, shown }) => `${name} at ${shown.length}`);
    if (Date.now() > from + RECOVERY_MS + LATE_MS)
      throw new Error(`expected no silence, found ${names.join(', ')}`);
    await sleep(TICK_MS);
  }
}

/** Starts two servers, nginx in front of them, relays in between that can cut the connections, and clients. */
async function buildWorld(): Promise<World> {
  const servers = await Promise.all([keepServer(), keepServer()]);
  // When it is dead, one server refuses connections; the relay in front of the other accepts and closes them.
  const relay = await startRelay(servers[1].port, 'between nginx and a server');
  const { ports, stop } = await startNginx([servers[0].port, relay.port]);
  onTestFinished(stop);
  const http = await startRelay(ports.http, 'between nginx and the clients on Node');
  const https = await startRelay(ports.https, 'between nginx and the tabs');
  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  const tabs: World['tabs'] = [];
  for (let n = 1; n <= TABS; n += 1)
    tabs.push(await openTab(browser, `tab ${n}`, `https://127.0.0.1:${https.port}/`));
  Object.assign(globalThis, { EventSource });
  onTestFinished(() => void Reflect.deleteProperty(globalThis, 'EventSource'));
  const clients = Array.from({ length: CLIENTS }, (_, i): Client => {
    const client: Client = { name: `client ${i + 1}`, from: Date.now(), shown: [] };
    const message = ({ data }: MessageEvent<string>): unknown =>
      client.shown.push({ text: data, at: Date.now() });
    const url = `http://127.0.0.1:${http.port}/count`;
    onTestFinished(subscribe(url, { message }, { staleAfterMs: STALE_AFTER_MS }).close);
    return client;
  });
  return { servers, relays: [relay, http, https], tabs, clients: [...tabs, ...clients] };
}

/** In the page: records a text of the timer. */
declare const record: (text: string, at: number) => void;

/** Opens the page in a browser of its own. */
async function openTab(browser: Browser, name: string, url: string): Promise<World['tabs'][number]> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  const shown: Client['shown'] = [];
  await context.exposeBinding('record', (_source, text: string, at: number) => shown.push({ text, at }));
  await context.addInitScript(() => {
    new MutationObserver((mutations) => {
      const timer = document.querySelector('[role="timer"]');
      const changes = mutations.filter(({ target }) => timer && [target, target.parentNode].includes(timer));
      // Several changes may be reported at once. The new value of each is the old value of the next.
      for (const [i] of changes.entries()) {
        record(changes[i + 1]?.oldValue ?? timer?.textContent ?? '', Date.now());
      }
    }).observe(document, { subtree: true, childList: true, characterDataOldValue: true });
  });
  const page = await context.newPage();
  await page.goto(url);
  return { name, from: Date.now(), shown, page };
}

async function keepServer() {
  const port = await freePort();
  const launch = (): ReturnType<typeof startServer> =>
    startServer({ HOST: '127.0.0.1', PORT: String(port), TICK_MS: String(TICK_MS) });
  let running = await launch();
  onTestFinished(() => running.stop());
  return {
    name: `server ${port}`,
    port,
    async start(): Promise<void> {
      running = await launch();
    },
    kill: (): Promise<void> => running.stop(),
    /** Ends it with SIGTERM; throws unless it leaves with exit code 0. */
    async terminate(): Promise<void> {
      running.child.kill('SIGTERM');
      const { code, signal, output } = await ended(running.child, running.output);
      if (code !== 0) throw new Error(`SIGTERM: expected exit code 0, found ${code ?? signal}: ${output}`);
    },
    signal: (name: NodeJS.Signals): unknown => running.child.kill(name),
  };
}
