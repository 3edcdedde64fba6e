import { generator, randomSeed } from '../support/random.ts';
import { enter, TICK_MS, World, type Behaviour } from './world.ts';
import { BACKOFF_CAP_MS, HEAD_TIMEOUT_MS, WATCH_INTERVAL_MS } from '../../client/subscribe.ts';

/** How many things happen for each seed. */
const STEPS = 40;

const STALE_AFTER_MS = 40_000;
const RETRY_AFTER_S = 7;

/** Once all is well, messages arrive within this time: the watchdog's longest, and then the longest delay. */
const RECOVERY_MS =
  8 * STALE_AFTER_MS +
  HEAD_TIMEOUT_MS +
  RETRY_AFTER_S * 1000 +
  BACKOFF_CAP_MS +
  2 * WATCH_INTERVAL_MS +
  3 * TICK_MS;

const ENDS = ['close', 'finish', 'refuse'] as const;

const TROUBLES: Behaviour[] = [
  'one message',
  'silence',
  'refuse connections',
  { status: 503 },
  { status: 503, retryAfterS: RETRY_AFTER_S },
  { status: 500, head: 405 },
  { status: 502, head: 'CORS' },
  { status: 502, head: 'silence' },
  { status: 429, head: 200 },
];

/** Plays one random life of a subscription. Throws, with the seed, when it breaks an invariant. */
export async function runModel(seed: number): Promise<void> {
  const random = generator(seed);
  const world = new World(random);
  const leave = enter(world);
  const happened: string[] = [];
  try {
    const pauseWhenHidden = random.between(0, 1) < 0.3;
    const url = random.between(0, 1) < 0.3 ? () => '/count' : '/count';
    const subscription = world.subscribe(url, { staleAfterMs: STALE_AFTER_MS, pauseWhenHidden });
    let paused = false;
    let gone = false;

    const look = (): void => {
      const awake = [...world.sources].filter((source) => source.readyState !== 2 && !source.isRevived);
      if (awake.length > 1) throw new Error(`expected one connection, found ${awake.length}`);
      world.received.forEach((n, i) => {
        if (n !== i + 1) throw new Error(`expected 1, 2, 3, …, found ${n} after ${world.received[i - 1]}`);
      });
      const { state } = subscription.status;
      if (world.statuses.at(-1)?.state !== state) throw new Error(`expected to be told of ${state}`);
      if (state === 'open' && !gone && awake[0]?.readyState !== 1)
        throw new Error('expected open to be true');
      if (state === 'paused' && awake.length > 0) throw new Error('expected no connection in a pause');
      if (awake.length > 0 && (gone || (pauseWhenHidden && !world.visible)))
        throw new Error('expected no connection of a page that is hidden');
      if (paused && state !== 'paused') throw new Error(`expected paused, found ${state}`);
    };

    const actions: Record<string, () => void> = {
      trouble() {
        world.behaviour = random.one(TROUBLES);
        if (random.between(0, 1) < 0.7) world.cut(random.between(0, 1) < 0.7);
      },
      heal: () => void (world.behaviour = 'stream'),
      cut: () => world.cut(true),
      freeze: () => world.cut(false),
      pause() {
        subscription.pause();
        paused = true;
      },
      resume() {
        subscription.resume();
        paused = false;
      },
      drop: () => subscription.drop(),
      hide() {
        world.visible = false;
        world.fire('visibilitychange');
      },
      show() {
        world.visible = true;
        world.fire('visibilitychange');
      },
      leave() {
        const open = [...world.sources].filter((source) => source.readyState === 1);
        gone = true;
        world.fire('pagehide');
        for (const source of open) source.isAsleep = source.readyState === 2 && random.between(0, 1) < 0.5;
      },
      comeBack() {
        gone = false;
        for (const source of world.sources) if (source.isAsleep) source.revive();
        world.fire('pageshow');
      },
      online: () => world.fire('online'),
      clock: () => void (world.wallOffset += random.between(-3_600_000, 3_600_000)),
    };

    for (let step = 0; step < STEPS; step += 1) {
      const name = random.one(gone ? ['comeBack'] : Object.keys(actions).filter((key) => key !== 'comeBack'));
      happened.push(`${world.now}: ${name}`);
      actions[name]?.();
      look();
      await new Promise(setImmediate);
      const { state } = subscription.status;
      if ((state === 'paused' || state === 'open') && world.headsInFlight > 0)
        throw new Error(`expected no question while ${state}`);
      if (!gone) await world.pass(random.one([0, 10, 500, 5000, 60_000]), look);
    }

    happened.push(`${world.now}: all is well`);
    if (gone) actions['comeBack']?.();
    if (!world.visible) actions['show']?.();
    if (paused) actions['resume']?.();
    world.behaviour = 'stream';
    const before = world.received.length;
    await world.pass(RECOVERY_MS, look);
    if (world.received.length === before) throw new Error('expected to recover in time');
    if (subscription.status.state !== 'open')
      throw new Error(`expected open, found ${subscription.status.state}`);

    const end = random.one(ENDS);
    happened.push(`${world.now}: ${end}`);
    if (end === 'close') subscription.close();
    if (end === 'finish') for (const source of world.sources) if (source.isLive) source.finish();
    if (end === 'refuse') {
      world.behaviour = { status: 401 };
      world.cut(true);
    }
    await world.pass(RECOVERY_MS, look);
    const expected = end === 'refuse' ? { state: 'closed', status: 401 } : { state: 'closed' };
    const found = JSON.stringify(world.statuses.at(-1));
    if (found !== JSON.stringify(expected)) throw new Error(`expected closed, found ${found}`);
    if (world.waiting > 0) throw new Error(`expected nothing to be left, found ${world.waiting} tasks`);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}: ${message}\n${happened.join('\n')}`, { cause });
  } finally {
    leave();
  }
}

/** What an hour of outage costs: the requests of one client after a steady stream, in virtual time. */
export async function requestsInAnHour(behaviour: Behaviour, seed: number): Promise<World['requests']> {
  const world = new World(generator(seed));
  const leave = enter(world);
  try {
    const subscription = world.subscribe('/count');
    await world.pass(60_000);
    world.behaviour = behaviour;
    world.cut(true);
    const before = { ...world.requests };
    await world.pass(3_600_000);
    subscription.close();
    return { GET: world.requests.GET - before.GET, HEAD: world.requests.HEAD - before.HEAD };
  } finally {
    leave();
  }
}

/** The outages that README's figure is about. */
export const OUTAGES: [name: string, Behaviour][] = [
  ['connections refused', 'refuse connections'],
  ['503', { status: 503 }],
  ['503 from a server without HEAD', { status: 503, head: 405 }],
  ['503 from a server whose CORS forbids HEAD', { status: 503, head: 'CORS' }],
  ['503 from a server that never answers HEAD', { status: 503, head: 'silence' }],
  ['503, but 200 to HEAD', { status: 503, head: 200 }],
  ['one message, and the end', 'one message'],
  ['no answer at all', 'silence'],
];

if (process.argv[1] === import.meta.filename) {
  const [seeds = '100000', first = String(randomSeed())] = process.argv.slice(2);
  for (let seed = Number(first); seed < Number(first) + Number(seeds); seed += 1) await runModel(seed);
  for (const [name, outage] of OUTAGES) {
    const counts: number[] = [];
    for (let seed = 1; seed <= 20; seed += 1) {
      const { GET, HEAD } = await requestsInAnHour(outage, seed);
      counts.push(GET + HEAD);
    }
    console.log(`an hour of ${name}: ${Math.min(...counts)} to ${Math.max(...counts)} requests`);
  }
  console.log(`${seeds} seeds from ${first} on: no invariant broken`);
}
