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
  head?: number | 'no CORS' | 'silence';
}

const TROUBLES: Behaviour[] = [
  'one message',
  'silence',
  'no connection',
  { status: 503 },
  { status: 503, retryAfterS: 7 },
  { status: 500, head: 405 },
  { status: 502, head: 'no CORS' },
  { status: 502, head: 'silence' },
  { status: 429, head: 200 },
];

/** What is settled before a life begins. */
interface Start {
  pauseWhenHidden: boolean;
  /** Whether the URL is a function. */
  isAsked: boolean;
  /** Whether the EventSource says why it was refused, as npm's does. */
  saysWhy: boolean;
  end: 'close' | 'finish' | 'refuse';
  /** Decides delays and latencies. */
  seed: number;
}

afterEach(() => void vi.useRealTimers().unstubAllGlobals().restoreAllMocks());

test('a subscription keeps its promises in every life: one connection, in order, never stuck, its status true', async () => {
  const start: fc.Arbitrary<Start> = fc.record({
    pauseWhenHidden: fc.boolean(),
    isAsked: fc.boolean(),
    saysWhy: fc.boolean(),
    end: fc.constantFrom('close', 'finish', 'refuse'),
    seed: fc.nat(),
  });
  const steps = fc.commands(STEPS, { maxCommands: 60, size: 'max' });
  const life = fc.asyncProperty(start, steps, async (given, commands) => {
    const world = new World(given);
    await fc.asyncModelRun(() => ({ model: world, real: world }), commands);
    await world.end();
  });
  await fc.assert(life, { numRuns: 100 * times, seed });
});

test.each(TROUBLES)('an hour of %j costs at most 300 GET, and a HEAD for each refusal', async (behaviour) => {
  const given = { pauseWhenHidden: false, isAsked: false, saysWhy: false, end: 'close', seed } as const;
  const world = new World(given);
  await world.pass(60_000);
  world.behaviour = behaviour;
  world.cut(true);
  await world.pass(3_600_000);
  expect(world.gets).toBeGreaterThan(10);
  expect(world.gets).toBeLessThanOrEqual(300);
});

/** A browser, a network, a server that counts, and a subscription, in virtual time. */
class World {
  behaviour: Behaviour = 'stream';
  isPaused = false;
  isGone = false;
  isVisible = true;
  gets = 0;
  heads = 0;
  /** Refusals that an EventSource did not explain. */
  refusals = 0;
  /** HEAD requests that wait for their answer. */
  asking = 0;
  readonly given: Start;
  readonly sources = new Set<VirtualSource>();
  readonly statuses: Status[] = [];
  readonly received: number[] = [];
  readonly page = new EventTarget();
  readonly subscription: ReturnType<typeof subscribe>;

  constructor(given: Start) {
    this.given = given;
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    const random = generator(given.seed);
    vi.restoreAllMocks(); // a spy keeps all of its calls
    vi.spyOn(Math, 'random').mockImplementation(() => random.between(0, 1));
    const world = this; // oxlint-disable-line typescript/no-this-alias
    vi.stubGlobal('document', {
      get visibilityState() {
        return world.isVisible ? 'visible' : 'hidden';
      },
    });
    for (const name of ['addEventListener', 'removeEventListener'] as const)
      vi.stubGlobal(name, this.page[name].bind(this.page));
    vi.stubGlobal('fetch', (_url: string, { signal }: { signal: AbortSignal }) => this.#head(signal));
    const EventSource = class extends VirtualSource {
      constructor(url: string) {
        super(world, url);
      }
    };
    this.subscription = subscribe(
      given.isAsked ? () => '/count' : '/count',
      { message: ({ data }) => this.received.push(Number(data)), note() {} },
      {
        staleAfterMs: STALE_AFTER_MS,
        pauseWhenHidden: given.pauseWhenHidden,
        onStatus: (status) => this.statuses.push(status),
        EventSource,
      },
    );
  }

  fire(type: string): void {
    this.page.dispatchEvent(new Event(type));
  }

  show(isVisible: boolean): void {
    this.isVisible = isVisible;
    this.fire('visibilitychange');
  }

  leave(revives: boolean): void {
    const open = [...this.sources].filter(({ readyState }) => readyState === 1);
    this.isGone = true;
    this.fire('pagehide');
    for (const source of open) source.isAsleep = revives && source.readyState === 2;
  }

  comeBack(): void {
    this.isGone = false;
    for (const source of this.sources) source.revive();
    this.fire('pageshow');
  }

  resume(): void {
    this.isPaused = false;
    this.subscription.resume();
    if (!this.#mustBeSilent && this.awake.length === 0)
      throw new Error(`expected resume to try at once, found ${this.subscription.status.state}`);
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
    const { awake } = this;
    this.received.forEach((n, i) => {
      if (n !== i + 1) throw new Error(`expected 1, 2, 3, …, found ${n} after ${this.received[i - 1]}`);
    });
    if (awake.length > 1) throw new Error(`expected one connection, found ${awake.length}`);
    if (awake.length > 0 && (this.#mustBeSilent || state === 'paused'))
      throw new Error('expected no connection in a pause, or of a page that is hidden');
    if (this.statuses.at(-1)?.state !== state) throw new Error(`expected to be told of ${state}`);
    if (state === 'open' && awake[0]?.readyState !== 1) throw new Error('expected open to be true');
    if (this.isPaused && state !== 'paused') throw new Error(`expected paused, found ${state}`);
    if (this.heads !== this.refusals)
      throw new Error(`expected a HEAD for each of ${this.refusals} refusals, found ${this.heads}`);
    if (this.asking > 0 && state !== 'reconnecting') throw new Error(`expected no HEAD while ${state}`);
  }

  /** All is well again, and messages arrive; then the subscription ends, and leaves nothing. */
  async end(): Promise<void> {
    if (this.isGone) this.comeBack();
    if (!this.isVisible) this.show(true);
    if (this.isPaused) this.resume();
    this.behaviour = 'stream';
    const before = this.received.length;
    await this.pass(RECOVERY_MS);
    if (this.received.length === before) throw new Error('expected to recover in time');
    if (this.subscription.status.state !== 'open') throw new Error('expected open in the end');

    const { end } = this.given;
    if (end === 'close') this.subscription.close();
    if (end === 'finish') for (const source of this.awake) source.dispatch(END_EVENT);
    if (end === 'refuse') {
      this.behaviour = { status: 401 };
      this.cut(true);
    }
    await this.pass(RECOVERY_MS);
    const expected = end === 'refuse' ? { state: 'closed', status: 401 } : { state: 'closed' };
    expect(this.statuses.at(-1)).toEqual(expected);
    expect(vi.getTimerCount()).toBe(0);
  }

  /** Those that are connected or try to be, but for those that came back to life and have not spoken since. */
  get awake(): VirtualSource[] {
    return [...this.sources].filter(({ readyState, isRevived }) => readyState !== 2 && !isRevived);
  }

  get #mustBeSilent(): boolean {
    return this.isGone || (this.given.pauseWhenHidden && !this.isVisible);
  }

  async #head(signal: AbortSignal): Promise<Pick<Response, 'status' | 'headers'>> {
    this.heads += 1;
    this.asking += 1;
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
        setTimeout(resolve, latency());
      });
      const answer = typeof this.behaviour === 'string' ? { status: 200 } : this.behaviour;
      const head = answer.head ?? (this.behaviour === 'silence' ? 'silence' : answer.status);
      if (this.behaviour === 'no connection' || head === 'no CORS') throw new TypeError('Failed to fetch');
      if (head === 'silence')
        return await new Promise((_, reject) => signal.addEventListener('abort', reject));
      return { status: head, headers: headersOf(answer) };
    } finally {
      this.asking -= 1;
    }
  }
}

/** An EventSource as HTML 9.2 has it. It may also speak after it was closed, as real ones do. */
class VirtualSource {
  readyState = 0;
  /** Closed, but to come back to life with the page, as in WebKit. */
  isAsleep = false;
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
    this.isAsleep = this.isRevived = false;
  }

  revive(): void {
    if (!this.isAsleep) return;
    this.isAsleep = false;
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
    const { behaviour, given } = this.#world;
    this.#world.gets += 1;
    if (behaviour === 'silence') return;
    if (behaviour === 'no connection') return this.#reestablish();
    if (typeof behaviour === 'string') return this.#open();
    this.#stop(2);
    if (!given.saysWhy) this.#world.refusals += 1;
    const response = { status: behaviour.status, headers: headersOf(behaviour) };
    this.dispatch('error', given.saysWhy ? { response } : {});
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

function headersOf({ retryAfterS }: Refusal): Headers {
  return new Headers(retryAfterS === undefined ? {} : { 'Retry-After': String(retryAfterS) });
}

/** A step of a life. A page that is gone does nothing but come back. */
function step(
  name: string,
  run: (world: World) => unknown,
  check = (world: Readonly<World>) => !world.isGone,
): fc.AsyncCommand<World, World> {
  return {
    check,
    async run(_, world) {
      await run(world);
      world.look();
    },
    toString: () => name,
  };
}

/** What may happen, again and again. */
const STEPS = [
  fc
    .tuple(fc.constantFrom(...TROUBLES), fc.constantFrom('noticed', 'unnoticed', 'later'))
    .map(([behaviour, cut]) =>
      step(`trouble ${JSON.stringify(behaviour)}, ${cut}`, (world) => {
        world.behaviour = behaviour;
        if (cut !== 'later') world.cut(cut === 'noticed');
      }),
    ),
  fc.constantFrom(0, 10, 500, 5000, 60_000).map((ms) => step(`pass ${ms} ms`, (world) => world.pass(ms))),
  fc
    .constantFrom(-3_600_000, 3_600_000)
    .map((ms) => step(`the clock jumps ${ms} ms`, () => vi.setSystemTime(Date.now() + ms))),
  fc.boolean().map((revives) => step(`leave, revives: ${revives}`, (world) => world.leave(revives))),
  ...[
    step('all is well', (world) => (world.behaviour = 'stream')),
    step('cut', (world) => world.cut(true)),
    step('freeze', (world) => world.cut(false)),
    step('pause', (world) => {
      world.subscription.pause();
      world.isPaused = true;
    }),
    step('resume', (world) => world.resume()),
    step('drop', (world) => world.subscription.drop()),
    step('hide', (world) => world.show(false)),
    step('show', (world) => world.show(true)),
    step('online', (world) => world.fire('online')),
    step(
      'come back',
      (world) => world.comeBack(),
      (world) => world.isGone,
    ),
  ].map((one) => fc.constant(one)),
];
