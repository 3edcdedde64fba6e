import { execFileSync, execSync } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isBrowserMissing, isMissing, launchBrowser, programPath } from '../support/browser.ts';
import { isNginxMissing, startNginx } from '../support/nginx.ts';
import {
  freePort,
  launch,
  listening,
  listeningOn,
  type Launched,
  type ServerProcess,
} from '../support/processes.ts';
import { generator, randomSeed } from '../support/random.ts';
import { startReader, type Reader } from '../support/reader.ts';
import { eventually } from '../support/testServer.ts';

const projectFolder = join(import.meta.dirname, '..', '..');
const examples = join(projectFolder, 'examples');

const READERS = 40;
const ENTRIES = 1000;
/** Seconds in which the entries are added; `SCALE_OUT_SECONDS` makes it longer. */
const SECONDS = Number(process.env['SCALE_OUT_SECONDS'] ?? 12);

const redisPath = programPath('redis-server');
const isRedisMissing = isMissing('redis-server', redisPath, 'Install Redis 7 or later.');

beforeAll(() => {
  execSync('npm ci --no-audit --no-fund', { cwd: examples });
});

describe('the examples are sound under strict types', () => {
  const tsc = join(projectFolder, 'node_modules', 'typescript', 'bin', 'tsc');

  test('where they are', () => {
    expect(execFileSync(process.execPath, [tsc, '--project', examples], { encoding: 'utf8' })).toBe('');
  });

  test('in an empty project, with the three files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'examples-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const copied = ['server/eventStream.ts', 'client/subscribe.ts', 'client/useEventSource.ts', 'examples'];
    await Promise.all(
      copied.map((name) =>
        cp(join(projectFolder, name), join(folder, name), {
          recursive: true,
          filter: (path) => !path.includes('node_modules'),
        }),
      ),
    );
    await symlink(join(projectFolder, 'node_modules'), join(folder, 'node_modules'), 'junction');
    await symlink(join(examples, 'node_modules'), join(folder, 'examples', 'node_modules'), 'junction');
    const compilerOptions = {
      strict: true,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      noPropertyAccessFromIndexSignature: true,
      noImplicitOverride: true,
      noImplicitReturns: true,
      noUnusedLocals: true,
      noUnusedParameters: true,
      verbatimModuleSyntax: true,
      erasableSyntaxOnly: true,
      isolatedModules: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      target: 'ES2023',
      lib: ['ES2023', 'DOM', 'DOM.Iterable'],
      module: 'NodeNext',
      jsx: 'react-jsx',
      types: ['node', 'vite/client'],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['.'] }));
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    expect(execFileSync(process.execPath, [tsc, '--project', folder], { encoding: 'utf8' })).toBe('');
  });
});

describe.skipIf(isRedisMissing)('scale-out', () => {
  let folder: string;
  let port: number;
  let redis: Launched;
  let number = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-'));
    port = await freePort();
    await startRedis();
  });
  afterAll(async () => {
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  async function startRedis(): Promise<void> {
    // By default, a killed Redis has lost what it acknowledged while the disk was busy.
    const options = `--port ${port} --bind 127.0.0.1 --appendonly yes --appendfsync always --save`
      .split(' ')
      .concat('', '--dir', folder);
    redis = launch([redisPath ?? '', ...options]);
    await listeningOn(port, redis);
  }

  /** Starts one of the example's servers, each test on a log of its own. */
  async function startServer(log: number, env: NodeJS.ProcessEnv = {}, onPort = 0): Promise<ServerProcess> {
    const server = await listening(
      launch([process.execPath, '--import', 'tsx', join(examples, 'scale-out', 'server.ts')], {
        env: { REDIS_URL: `redis://127.0.0.1:${port}/${log}`, PORT: String(onPort), ...env },
      }),
    );
    onTestFinished(server.stop);
    return server;
  }

  test('who leaves before the first entry comes back for it', async () => {
    const { url } = await startServer((number += 1));
    const reader = start(url);
    await eventually(() => reader.received.length === 1);
    reader.leave();
    await add(url, 'first');
    await add(url, 'second');
    reader.connect();
    await eventually(() => reader.received.length === 3);
    expect(events(reader)).toEqual(['snapshot ["The log begins."]', 'entry first', 'entry second']);
  });

  test('who was away for several pages of entries gets them all, while others are added', async () => {
    const { url } = await startServer((number += 1));
    const readers = Array.from({ length: 10 }, () => start(url));
    await eventually(() => readers.every(({ received }) => received.length === 1));
    for (const reader of readers) reader.leave();
    for (let n = 1; n <= 350; n += 1) await add(url, String(n));
    for (const reader of readers) reader.connect();
    for (let n = 351; n <= 450; n += 1) await add(url, String(n));
    const all = Array.from({ length: 450 }, (_, i) => `entry ${i + 1}`);
    for (const reader of readers) {
      await eventually(() => reader.received.length > 450);
      expect(events(reader).slice(1)).toEqual(all);
    }
  });

  test('an ID whose entry has been trimmed, or that never was one, is answered with a reset and a snapshot', async () => {
    const { url } = await startServer((number += 1), { MAX_LENGTH: '100' });
    const early = start(url);
    await eventually(() => early.received.length === 1);
    early.leave();
    for (let n = 1; n <= 250; n += 1) await add(url, String(n));
    early.connect();
    const strange = ['x', '1-1', '99999999999999-0', '0-0', '-', '$', '1-1 +'].map((id) => start(url, id));
    const snapshot = `snapshot ${JSON.stringify(Array.from({ length: 20 }, (_, i) => String(231 + i)))}`;
    await eventually(() => early.received.length === 3);
    expect(events(early).slice(1)).toEqual(['reset ', snapshot]);
    for (const reader of strange) {
      await eventually(() => reader.received.length === 2);
      expect(events(reader)).toEqual(['reset ', snapshot]);
    }
  });

  test.skipIf(process.platform === 'win32')(
    'a server that slept while entries were trimmed says so to its streams',
    async () => {
      const log = (number += 1);
      const sleeper = await startServer(log, { MAX_LENGTH: '100' });
      const other = await startServer(log, { MAX_LENGTH: '100' });
      const reader = start(sleeper.url);
      await eventually(() => reader.received.length === 1);
      sleeper.child.kill('SIGSTOP');
      for (let n = 1; n <= 250; n += 1) await add(other.url, String(n));
      sleeper.child.kill('SIGCONT');
      await eventually(() => events(reader).at(-1)?.startsWith('snapshot ["231"'));
      expect(events(reader)).toContain('reset ');
    },
  );

  test.skipIf(isNginxMissing() || isBrowserMissing())(
    `${READERS} readers cut at random hold ${ENTRIES} of ${ENTRIES} entries, whatever dies`,
    async () => {
      const seed = Number(process.env['SCALE_OUT_SEED'] ?? randomSeed());
      const random = generator(seed);
      const log = (number += 1);
      const servers = [await startServer(log), await startServer(log)];
      const ports = servers.map((server) => server.port);
      const nginx = await startNginx([ports[0] ?? 0, ports[1] ?? 0]);
      onTestFinished(nginx.stop);
      const url = `http://127.0.0.1:${nginx.ports.http}`;

      const readers = Array.from({ length: READERS }, () => start(url));
      const browser = await launchBrowser();
      onTestFinished(() => browser.close());
      const page = await browser.newPage();
      await page.goto(url);
      await page.locator('li').first().waitFor();
      await eventually(() => readers.every(({ received }) => received.length > 0));

      const counts = { cuts: 0, 'servers killed': 0, 'Redis killed': 0 };
      const chaos = [
        async () => {
          const i = random.below(2);
          await servers[i]?.stop();
          servers[i] = await startServer(log, {}, ports[i]);
          counts['servers killed'] += 1;
        },
        async () => {
          await redis.stop();
          await startRedis();
          counts['Redis killed'] += 1;
        },
      ];
      const cutting = setInterval(() => {
        random.one(readers).cut();
        counts.cuts += 1;
      }, 50);
      onTestFinished(() => clearInterval(cutting));

      // One after the other kind of death, at even distances.
      const time = Date.now();
      const started = performance.now();
      let deaths: Promise<void> = Promise.resolve();
      for (let n = 1; n <= ENTRIES; n += 1) {
        await write(log, `${time}-${n}`, String(n));
        if (n % 200 === 100) deaths = deaths.then(chaos[(n - 100) % 400 === 0 ? 0 : 1]);
        const early = started + (n * SECONDS * 1000) / ENTRIES - performance.now();
        if (early > 0) await setTimeout(early);
      }
      await deaths;
      clearInterval(cutting);
      const isDone = ({ received }: Reader): boolean => received.at(-1)?.data === String(ENTRIES);
      await eventually(() => readers.every(isDone)).catch(() => {});
      const held = readers.map((reader) => events(reader).slice(1));
      const all = Array.from({ length: ENTRIES }, (_, i) => `entry ${i + 1}`);
      const complete = held.filter((entries) => entries.join() === all.join()).length;
      console.log(
        `${complete} of ${READERS} readers hold ${ENTRIES} of ${ENTRIES} entries, each once and in order;`,
        Object.entries(counts)
          .map(([what, n]) => `${n} ${what}`)
          .join(', '),
        `(SCALE_OUT_SEED=${seed})`,
      );
      for (const entries of held) expect(entries).toEqual(all);
      await eventually(async () => (await page.locator('li').count()) === ENTRIES + 1);
      expect(await page.locator('[role=alert]').textContent()).toBe('');
    },
  );

  /** Adds an entry with an ID of its own, so that one whose answer was lost is not added twice. */
  async function write(log: number, id: string, text: string): Promise<void> {
    for (;;) {
      const socket = connect(port, '127.0.0.1').setEncoding('utf8');
      socket.end(`SELECT ${log}\r\nXADD log ${id} text ${text}\r\nQUIT\r\n`);
      const answer = await socket.reduce((all, chunk: string) => all + chunk, '').catch(() => '');
      if (answer.includes(`\r\n${id}\r\n`) || answer.includes('equal or smaller')) return;
      await setTimeout(50); // Redis is down, or loading
    }
  }
});

/** Reads the log until the test has finished. */
function start(url: string, id?: string): Reader {
  const reader = startReader(`${url}/log`, id);
  onTestFinished(reader.leave);
  return reader;
}

/** Adds an entry through a server. */
async function add(url: string, text: string): Promise<void> {
  const body = new URLSearchParams({ text });
  const response = await fetch(`${url}/log`, { method: 'POST', body, redirect: 'manual' });
  expect(response.status).toBe(303);
}

function events({ received }: Reader): string[] {
  return received.map(({ event, data }) => `${event} ${data}`);
}
