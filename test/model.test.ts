import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { END_EVENT, subscribe, type Status } from '../client/subscribe.ts';
import { generator } from './support/random.ts';
import { seed, times } from './support/run.ts';

const TICK_MS = 1000;
const STALE_AFTER_MS = 40_000;

/** Once all is well, messages arrive within this time: the watchdog's longest, and the longest delay. */
const RECOVERY_MS = 8 * STALE_AFTER_MS + 60_000;

/** What the server does with a request: a stream, one that dies young, silence, or a refusal. */
type Behaviour = 'stream' | 'one message' | 'silence' | 'no connection' | Refusal;

interface Refusal {
  status: number;
  retryAfterS?: number;
  /** What HEAD gets. Default: the same. */
  head?: number;
  isHeadSilent?: boolean;
}

const TROUBLES: Behaviour[] = [
  'one message',
  'silence',
  'no connection',
  { status: 503 },
  { status: 503, retryAfterS: 7 },
  { status: 500, head: 405 },
  { status: 502, isHeadSilent: true },
];

/** What is settled before a life begins. */
interface Start {
  pauseWhenHidden: boolean;
  /** Whether the URL is a function. */
  isAsked: boolean;
  end: 'close' | 'finish' | 'refuse';
  /** Decides delays and latencies. */
  seed: number;
}

const { random: realRandom } = Math;
afterEach(() => {
  vi.useRealTimers().unstubAllGlobals();
  Math.random = realRandom;
});

test('a subscription keeps its promises in every life: one connection, in order, never stuck, its status true', async () => {
  const start: fc.Arbitrary<Start> = fc.record({
    pauseWhenHidden: fc.boolean(),
    isAsked: fc.boolean(),
    end: fc.constantFrom('close', 'finish', 'refuse'),
    seed: fc.nat(),
  });
  const steps = fc.array(STEP, { maxLength: 60, size: 'max' });
  const life = fc.asyncProperty(start, steps, async (given, happens) => {
    const world = new World(given);
    for (const happen of happens) {
      await happen(world);
      world.look();
    }
    await world.end();
  });
  await fc.assert(life, { numRuns: 100 * times, seed });
});

test.each(TROUBLES)('an hour of %j costs at most 300 GET, and a HEAD for each refusal', async (behaviour) => {
  const world = new World({ pauseWhenHidden: false, isAsked: false, end: 'close', seed });
  await world.pass(60_000);
  world.behaviour = behaviour;
  world.cut(true);
  await world.pass(3_600_000);
  expect(world.gets).toBeGreaterThan(10);
  expect(world.gets).toBeLessThanOrEqual(300);
});

/** A page in a browser, a network, a server that counts, and a subscription, in virtual time. */
class World extends EventTarget {
  behaviour: Behaviour = 'stream';
  visibilityState: 'visible' | 'hidden' = 'visible';
  isPaused = false;
  gets = 0;
  received = 0;
  /** Refusals that no HEAD has asked about. */
  unasked = 0;
  /** HEAD requests that wait for their answer. */
  asking = 0;
  told: Status = { state: 'connecting' };
  readonly given: Start;
  readonly sources = new Set<VirtualSource>();
  readonly subscription: ReturnType<typeof subscribe>;

  constructor(given: Start) {
    super();
    this.given = given;
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    const random = generator(given.seed);
    Math.random = () => random.between(0, 1); // a spy would keep every world
    vi.stubGlobal('document', this);
    vi.stubGlobal('addEventListener', this.addEventListener.bind(this));
    vi.stubGlobal('removeEventListener', this.removeEventListener.bind(this));
    vi.stubGlobal('fetch', (_url: string, { signal }: { signal: AbortSignal }) => this.#head(signal));
    this.subscription = subscribe(
      given.isAsked ? () => '/count' : '/count',
      { message: ({ data }) => assert.equal(Number(data), (this.received += 1)), note() {} },
      {
        staleAfterMs: STALE_AFTER_MS,
        pauseWhenHidden: given.pauseWhenHidden,
        onStatus: (status) => (this.told = status),
        EventSource: VirtualSource.bind(undefined, this),
      },
    );
  }

  fire(type: string): void {
    this.dispatchEvent(new Event(type));
  }

  show(state: World['visibilityState']): void {
    this.visibilityState = state;
    this.fire('visibilitychange');
  }

  /** The page goes into the back/forward cache and comes back. WebKit `revives` sources that were closed there. */
  leave(revives: boolean): void {
    const open = [...this.sources].filter(({ readyState }) => readyState === 1);
    this.fire('pagehide');
    assert.equal(this.awake.length, 0, 'expected no connection of a page that was left');
    if (revives) for (const source of open) source.revive();
    this.fire('pageshow');
  }

  pause(): void {
    this.isPaused = true;
    this.subscription.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.subscription.resume();
    assert(this.#mustBeSilent || this.awake.length > 0, 'expected resume to try at once');
  }

  /** Every connection breaks, whether the client notices or not. */
  cut(isNoticed: boolean): void {
    for (const source of this.sources) source.cut(isNoticed);
  }

  /** Lets this much time pass, and looks after each thing that happens. */
  async pass(ms: number): Promise<void> {
    const until = performance.now() + ms;
    setTimeout(() => {}, ms); // so that the time comes
    while (performance.now() < until) {
      const isAwaited = this.asking > 0;
      vi.advanceTimersToNextTimer();
      if (isAwaited) await new Promise(setImmediate);
      this.look();
    }
  }

  /** Throws when a promise is broken. */
  look(): void {
    const { state } = this.subscription.status;
    const [first, ...others] = this.awake;
    assert.equal(others.length, 0, 'expected one connection');
    assert(!first || !(this.#mustBeSilent || state === 'paused'), 'expected no connection in a pause');
    assert(state !== 'open' || first?.readyState === 1, 'expected open to be true');
    assert(!this.isPaused || state === 'paused', 'expected a pause to last');
    assert.equal(this.told.state, state, 'expected to be told of each status');
    assert.equal(this.unasked, 0, 'expected a HEAD for each refusal');
    assert(this.asking === 0 || state === 'reconnecting', 'expected a HEAD only while reconnecting');
  }

  /** All is well again, and messages arrive; then the subscription ends, and leaves nothing. */
  async end(): Promise<void> {
    this.show('visible');
    if (this.isPaused) this.resume();
    this.behaviour = 'stream';
    const before = this.received;
    await this.pass(RECOVERY_MS);
    assert(this.received > before && this.told.state === 'open', 'expected to recover in time');

    const { end } = this.given;
    if (end === 'close') this.subscription.close();
    if (end === 'finish') for (const source of this.awake) source.dispatch(END_EVENT);
    if (end === 'refuse') {
      this.behaviour = { status: 401 };
      this.cut(true);
    }
    await this.pass(RECOVERY_MS);
    assert.deepEqual(this.told, { state: 'closed', ...(end === 'refuse' && { status: 401 }) });
    assert.equal(vi.getTimerCount(), 0);
  }

  /** Those that are connected or try to be, but for those that came back to life and have not spoken since. */
  get awake(): VirtualSource[] {
    return [...this.sources].filter(({ readyState, isRevived }) => readyState !== 2 && !isRevived);
  }

  get #mustBeSilent(): boolean {
    return this.given.pauseWhenHidden && this.visibilityState === 'hidden';
  }

  async #head(signal: AbortSignal): Promise<Pick<Response, 'status' | 'headers'>> {
    const { behaviour } = this;
    const answer: Refusal = typeof behaviour === 'string' ? { status: 200 } : behaviour;
    this.unasked -= 1;
    this.asking += 1;
    try {
      await new Promise((resolve, reject) => {
        signal.addEventListener('abort', reject);
        if (!answer.isHeadSilent) setTimeout(resolve, latency());
      });
    } finally {
      this.asking -= 1;
    }
    if (behaviour === 'no connection') throw new TypeError('Failed to fetch');
    const headers = new Headers(answer.retryAfterS ? { 'Retry-After': String(answer.retryAfterS) } : {});
    return { status: answer.head ?? answer.status, headers };
  }
}

/** An EventSource as HTML 9.2 has it. It may also speak after it was closed, as real ones do. */
class VirtualSource {
  readyState = 0;
  /** Whether it came back to life and has not spoken since. */
  isRevived = false;
  readonly #world: World;
  readonly #url: string;
  readonly #listeners = new Map<string, (event: Event) => void>();
  #lastEventId = '';
  #isLive = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(world: World, url: string) {
    this.#world = world;
    this.#url = url;
    world.sources.add(this);
    this.#timer = setTimeout(() => this.#answered(), latency());
  }

  addEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {
    this.#stop(2);
    this.isRevived = false;
  }

  revive(): void {
    this.isRevived = true;
    this.#open();
  }

  cut(isNoticed: boolean): void {
    if (!this.#isLive) return;
    this.#stop(this.readyState);
    if (isNoticed) this.#timer = setTimeout(() => this.#reestablish(), latency());
  }

  /** Fires an event, also when a listener has closed it. */
  dispatch(type: string, more: object = {}): void {
    const event = Object.assign(new Event(type), { data: '', lastEventId: this.#lastEventId, ...more });
    this.#listeners.get(type)?.(event);
    this.isRevived = false;
  }

  #stop(readyState: number): void {
    clearTimeout(this.#timer);
    this.#isLive = false;
    this.readyState = readyState;
  }

  #answered(): void {
    const { behaviour } = this.#world;
    this.#world.gets += 1;
    if (behaviour === 'silence') return;
    if (behaviour === 'no connection') return this.#reestablish();
    if (typeof behaviour === 'string') return this.#open();
    this.#stop(2);
    this.#world.unasked += 1;
    this.dispatch('error');
  }

  #open(): void {
    this.#lastEventId ||= /lastEventId=(\d+)/.exec(this.#url)?.[1] ?? '0';
    this.#isLive = true;
    this.readyState = 1;
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
    this.dispatch('open');
  }

  /** Sends a number, now and then two in one chunk, or a message without an ID. */
  #tick(): void {
    const isLast = this.#world.behaviour === 'one message';
    this.#timer = setTimeout(() => (isLast ? this.#reestablish() : this.#tick()), isLast ? 0 : TICK_MS);
    if (Math.random() < 0.1) return this.dispatch('note');
    for (let left = Math.random() < 0.1 ? 2 : 1; left > 0; left -= 1) {
      this.#lastEventId = String(Number(this.#lastEventId) + 1);
      this.dispatch('message', { data: this.#lastEventId });
    }
  }

  #reestablish(): void {
    this.#stop(0);
    this.#timer = setTimeout(() => this.#answered(), TICK_MS + latency());
    this.dispatch('error');
  }
}

function latency(): number {
  return 1 + Math.random() * 200;
}

type Step = (world: World) => unknown;

/** What may happen, again and again: what it is called in a failure, with which of these values, and what it does. */
const STEP = fc.oneof(
  step('behaviour', [...TROUBLES, 'stream'], (world, behaviour) => (world.behaviour = behaviour)),
  step('cut, noticed', [true, false], (world, isNoticed) => world.cut(isNoticed)),
  step('pass ms', [0, 10, 500, 5000, 60_000], (world, ms) => world.pass(ms)),
  step('clock jumps ms', [-3_600_000, 3_600_000], (_, ms) => vi.setSystemTime(Date.now() + ms)),
  step('pause or resume', ['pause', 'resume'], (world, what) => world[what]()),
  step('drop', [''], (world) => world.subscription.drop()),
  step('page', ['hidden', 'visible'], (world, state) => world.show(state)),
  step('leave, revived', [true, false], (world, revives) => world.leave(revives)),
  step('online', [''], (world) => world.fire('online')),
);

function step<const Value>(
  name: string,
  values: Value[],
  run: (world: World, value: Value) => unknown,
): fc.Arbitrary<Step> {
  return fc.constantFrom(...values).map((value) => {
    const toString = (): string => `${name} ${JSON.stringify(value)}`;
    return Object.assign((world: World) => run(world, value), { toString });
  });
}
