import { EventSource } from 'eventsource';
import type { Browser, Page } from 'playwright-core';
import { subscribe } from '../../client/subscribe.ts';
import { launchBrowser } from '../support/browser.ts';
import { startNginx } from '../support/nginx.ts';
import { ended, freePort, startServer } from '../support/processes.ts';
import { startRelay, type Relay } from '../support/relay.ts';

/** From one number to the next, on both servers. */
export const TICK_MS = 200;

/** `STALE_AFTER_MS` in client/App.tsx, for the clients on Node too. */
export const STALE_AFTER_MS = 10_000;

/** A client: when it began (ms since the epoch), and each text that it was shown. */
export interface Client {
  name: string;
  from: number;
  record: { text: string; at: number }[];
}

/** What stops what was started, to be called in reverse order. */
export type Undo = (() => unknown)[];

/** What stands between the clients and the count. */
export interface World {
  servers: readonly Server[];
  relays: readonly Relay[];
  nginx: { http: Relay; https: Relay };
  browser: Browser;
  tabs: Tab[];
  clients: Client[];
}

/** A page in a browser of its own, and its records: the numbers that it shows, and the messages. */
export interface Tab {
  name: string;
  page: Page;
  clients: Client[];
}

/** Starts two servers, nginx in front of them, and relays in between that can cut the connections. */
export async function buildWorld(undo: Undo): Promise<World> {
  const [direct, relayed] = await Promise.all([keepServer(undo), keepServer(undo)]);
  // When it is dead, one server refuses connections; the relay in front of the other accepts and then closes
  // them.
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

/** Opens tabs and subscribes clients on Node. */
export async function populate(
  { nginx, browser, tabs, clients }: World,
  tabCount: number,
  nodeCount: number,
  undo: Undo,
): Promise<void> {
  for (let n = 1; n <= tabCount; n += 1) {
    const tab = await openTab(browser, `tab ${n}`, `https://127.0.0.1:${nginx.https.port}/`);
    tabs.push(tab);
    clients.push(...tab.clients);
  }
  Object.assign(globalThis, { EventSource });
  undo.push(() => Reflect.deleteProperty(globalThis, 'EventSource'));
  for (let n = 1; n <= nodeCount; n += 1) {
    clients.push(startClient(`client ${n}`, `http://127.0.0.1:${nginx.http.port}/count`, undo));
  }
}

/** In the page: adds to the tab's records. */
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
      // Several changes may be reported at once. The new value of each is the old value of the next.
      for (const [i] of changes.entries()) {
        handOn('number', changes[i + 1]?.oldValue ?? timer?.textContent ?? '', Date.now());
      }
      for (const row of mutations.flatMap(({ addedNodes }) => [...addedNodes])) {
        if (!(row instanceof HTMLLIElement) || row.dataset['kind'] !== 'message') continue;
        const lines = [...row.querySelectorAll('code')].map(({ textContent }) => textContent);
        const id = lines.find((line) => line.startsWith('id: ')) ?? lines.join(', ');
        handOn('frame', id.replace('id: ', ''), Date.now());
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

function startClient(name: string, url: string, undo: Undo): Client {
  const client: Client = { name, from: Date.now(), record: [] };
  const message = ({ data }: MessageEvent<string>): void => {
    client.record.push({ text: data, at: Date.now() });
  };
  const subscription = subscribe(url, { message }, { staleAfterMs: STALE_AFTER_MS });
  undo.push(subscription.close);
  return client;
}

/** A server that can be restarted on the same port. */
export interface Server {
  name: string;
  port: number;
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Ends it with SIGTERM; throws unless it leaves with exit code 0. */
  terminate(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

async function keepServer(undo: Undo): Promise<Server> {
  const port = await freePort();
  const launch = (): ReturnType<typeof startServer> =>
    startServer({ HOST: '127.0.0.1', PORT: String(port), TICK_MS: String(TICK_MS) });
  let running = await launch();
  undo.push(() => running.stop());
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
