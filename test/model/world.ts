import {
  END_EVENT,
  type Subscription,
  subscribe,
  type Status,
  type SubscribeOptions,
} from '../../client/subscribe.ts';
import type { Random } from '../support/random.ts';

/** How often the server counts, ms. */
export const TICK_MS = 1000;

/** What the server does with a request: a stream, one that dies young, silence, or a refusal. */
export type Behaviour =
  | 'stream'
  | 'one message'
  | 'silence'
  | 'refuse connections'
  | { status: number; retryAfterS?: number; head?: number | 'CORS' | 'silence' };

type Answer = Extract<Behaviour, object>;

const ANSWERED: Answer = { status: 200 };

interface Task {
  at: number;
  run: () => void;
}

/** A browser, a network and a counting server, all in virtual time. */
export class World {
  now = 0;
  /** How far the wall clock is off: it may jump. */
  wallOffset = 1_700_000_000_000;
  behaviour: Behaviour = 'stream';
  reconnectionTimeMs = 1000;
  visible = true;
  /** Requests so far, by method. */
  requests = { GET: 0, HEAD: 0 };
  headsInFlight = 0;
  sources = new Set<VirtualSource>();
  statuses: Status[] = [];
  received: number[] = [];
  random: Random;
  listeners = new Map<string, Set<(event: { type: string }) => void>>();
  #tasks = new Map<number, Task>();
  #nextTask = 1;

  constructor(random: Random) {
    this.random = random;
  }

  schedule(run: () => void, ms = 0): number {
    this.#tasks.set(this.#nextTask, { at: this.now + Math.max(0, ms), run });
    return this.#nextTask++;
  }

  /** Schedules it again and again. Returns the number of the first task, which `cancel` knows it by. */
  repeat(run: () => void, ms: number): number {
    const again = (): void => {
      this.#tasks.set(task, { at: this.now + ms, run: again });
      run();
    };
    const task = this.schedule(again, ms);
    return task;
  }

  cancel(task: number): void {
    this.#tasks.delete(task);
  }

  /** Tasks that wait, such as timers. */
  get waiting(): number {
    return this.#tasks.size;
  }

  /** Lets this much time pass; `look` is called after each task. */
  async pass(ms: number, look = (): void => {}): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      let next: [number, Task] | undefined;
      for (const entry of this.#tasks) if (!next || entry[1].at < next[1].at) next = entry;
      if (!next || next[1].at > until) break;
      this.#tasks.delete(next[0]);
      this.now = next[1].at;
      const isAwaited = this.headsInFlight > 0;
      next[1].run();
      if (isAwaited) await new Promise(setImmediate); // for what awaits an answer
      look();
    }
    this.now = until;
  }

  /** Fires an event at the page. */
  fire(type: string): void {
    for (const listener of Array.from(this.listeners.get(type) ?? [])) listener({ type });
  }

  latency(): number {
    return this.random.between(1, 200);
  }

  /** Every connection breaks, without or with the client's noticing. */
  cut(noticed: boolean): void {
    for (const source of this.sources) source.cut(noticed);
  }

  subscribe(url: string | (() => string), options: SubscribeOptions = {}): Subscription {
    return subscribe(
      url,
      { message: ({ data }) => this.received.push(Number(data)), note() {} },
      { ...options, onStatus: (status) => this.statuses.push(status) },
    );
  }
}

/** Puts `world` in the place of the globals that the subscription uses. Returns what puts them back. */
export function enter(world: World): () => void {
  const { EventSource, fetch, document, addEventListener, removeEventListener } = globalThis;
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const before = {
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    EventSource,
    fetch,
    document,
    addEventListener,
    removeEventListener,
  };
  const [dateNow, performanceNow, mathRandom] = [Date.now, performance.now, Math.random];
  Object.assign(globalThis, {
    setTimeout: (run: () => void, ms?: number) => world.schedule(run, ms),
    clearTimeout: (task: number) => world.cancel(task),
    setInterval: (run: () => void, ms: number) => world.repeat(run, ms),
    clearInterval: (task: number) => world.cancel(task),
    EventSource: class extends VirtualSource {
      constructor(url: string) {
        super(world, url);
      }
    },
    fetch: (url: string, init: { method: string; signal: AbortSignal }) => virtualFetch(world, url, init),
    document: {
      get visibilityState(): string {
        return world.visible ? 'visible' : 'hidden';
      },
    },
    addEventListener(type: string, listener: (event: { type: string }) => void) {
      world.listeners.set(type, (world.listeners.get(type) ?? new Set()).add(listener));
    },
    removeEventListener(type: string, listener: (event: { type: string }) => void) {
      world.listeners.get(type)?.delete(listener);
    },
  });
  Date.now = () => world.now + world.wallOffset;
  performance.now = () => world.now;
  Math.random = () => world.random.between(0, 1);
  return () => {
    Object.assign(globalThis, before);
    Date.now = dateNow;
    performance.now = performanceNow;
    Math.random = mathRandom;
  };
}

/** An EventSource as HTML 9.2 has it. It may also speak after it was closed, as real ones do. */
class VirtualSource {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readyState = 0;
  /** Whether the server has a connection to it. */
  isLive = false;
  /** Closed, but to come back to life with the page, as in WebKit. */
  isAsleep = false;
  /** Whether it came back to life and has not spoken since. */
  isRevived = false;
  #world: World;
  #url: string;
  #listeners = new Map<string, ((message: unknown) => void)[]>();
  #lastEventId = '';
  #task: number | undefined;
  #next = 1;

  constructor(world: World, url: string) {
    this.#world = world;
    this.#url = url;
    world.sources.add(this);
    this.#connect();
  }

  addEventListener(type: string, listener: (message: unknown) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  close(): void {
    this.#stop();
    this.readyState = 2;
    this.isAsleep = false;
    this.isRevived = false;
  }

  /** As WebKit: closed with the page, and open again with it. */
  revive(): void {
    this.isRevived = true;
    this.readyState = 1;
    this.#open();
  }

  cut(noticed: boolean): void {
    if (!this.isLive) return;
    this.#stop();
    if (noticed) this.#task = this.#world.schedule(() => this.#reestablish(), this.#world.latency());
  }

  #stop(): void {
    if (this.#task !== undefined) this.#world.cancel(this.#task);
    this.#task = undefined;
    this.isLive = false;
  }

  #connect(): void {
    this.#task = this.#world.schedule(() => this.#answered(), this.#world.latency());
  }

  #answered(): void {
    const { behaviour, requests } = this.#world;
    requests.GET += 1;
    if (behaviour === 'silence') return;
    if (behaviour === 'refuse connections') return this.#reestablish();
    if (behaviour === 'stream' || behaviour === 'one message') return this.#open();
    this.#stop();
    this.readyState = 2;
    this.#dispatch('error');
  }

  #open(): void {
    const asked = this.#lastEventId || /lastEventId=(\d+)/.exec(this.#url)?.[1] || '0';
    this.#next = Number(asked) + 1;
    this.isLive = true;
    this.readyState = 1;
    this.#task = this.#world.schedule(() => this.#tick(), TICK_MS);
    this.#dispatch('open');
  }

  #tick(): void {
    // Two in one chunk now and then.
    const chunk = this.#world.random.between(0, 1) < 0.1 ? 2 : 1;
    this.#task =
      this.#world.behaviour === 'one message'
        ? this.#world.schedule(() => this.#reestablish())
        : this.#world.schedule(() => this.#tick(), TICK_MS);
    if (this.#world.random.between(0, 1) < 0.1) return this.#dispatch('note'); // it has no ID
    for (let i = 0; i < chunk; i += 1) {
      this.#lastEventId = String(this.#next);
      this.#next += 1;
      this.#dispatch('message', this.#lastEventId); // also when a handler has closed it
    }
  }

  #reestablish(): void {
    this.#stop();
    this.readyState = 0;
    this.#task = this.#world.schedule(() => this.#connect(), this.#world.reconnectionTimeMs);
    this.#dispatch('error');
  }

  finish(): void {
    this.#dispatch(END_EVENT, '');
  }

  #dispatch(type: string, data = ''): void {
    const message = { type, data, lastEventId: this.#lastEventId };
    for (const listener of this.#listeners.get(type) ?? []) listener(message);
    this.isRevived = false;
  }
}

function virtualFetch(
  world: World,
  _url: string,
  { method, signal }: { method: string; signal: AbortSignal },
): Promise<unknown> {
  const { behaviour } = world;
  world.headsInFlight += 1;
  const answered = new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')));
    world.schedule(() => {
      if (signal.aborted) return;
      if (method === 'HEAD') world.requests.HEAD += 1;
      if (behaviour === 'silence') return;
      if (behaviour === 'refuse connections') return reject(new TypeError('Failed to fetch'));
      const { status, head = status, retryAfterS } = typeof behaviour === 'string' ? ANSWERED : behaviour;
      if (head === 'silence') return;
      if (head === 'CORS') return reject(new TypeError('Failed to fetch'));
      const headers = new Headers(retryAfterS === undefined ? {} : { 'Retry-After': String(retryAfterS) });
      resolve({ status: head, headers });
    }, world.latency());
  });
  return answered.finally(() => (world.headsInFlight -= 1));
}
