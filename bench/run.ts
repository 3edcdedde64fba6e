// Measures everything in README's "Speed" and prints it as Markdown. --quick tries the bench itself; its figures mean little.
import { existsSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import packages from './package-lock.json' with { type: 'json' };
import { measureCluster } from './cluster.ts';
import { fillCore, measureLevels, type Sample } from './measure.ts';
import { measureNewcomer } from './firstRun.ts';
import { measurePage } from './page.ts';
import { hasProc, isPinned, openFilesLimit, SERVERS, type ServerName } from './processes.ts';
import { stormTable } from './storm.ts';

const quick = process.argv.includes('--quick');

const names: ServerName[] = quick
  ? ['this server', "the tutorial's code", 'baseline']
  : Object.keys(SERVERS).filter((name): name is ServerName => name in SERVERS);
const rounds = quick ? 1 : 5;
const forMs = quick ? 1000 : 2500;
const levels = quick ? [500] : [1000, 5000, 10_000];
const most = Math.min(openFilesLimit() - 200, 28_000); // 28,232 ports are Linux's default for clients
const growthLevels = quick ? [100, 500] : [100, 1000, 10_000, most];
const grown: ServerName[] = ['this server', 'baseline'];
const growthRounds = quick ? 1 : 3;
const sameRate = quick ? 1000 : 10_000;
const sameRateLevels = quick ? [100, 500] : [1000, 10_000, most];

if (!existsSync(join(import.meta.dirname, '../dist/index.html'))) {
  console.error('dist: expected the built page, found none. Run npm run build first');
  process.exit(1);
}
if (!hasProc) console.error('CPU and memory: not measured, they are read from /proc, which only Linux has');

const started = Date.now();
const samples = await interleave(names, [{ at: levels, tickMs: 1000 }], rounds);
const growth = await interleave(grown, [{ at: growthLevels, tickMs: 1000 }], growthRounds);
const atSameRate = await interleave(
  grown,
  sameRateLevels.map((level) => ({ at: [level], tickMs: (level * 1000) / sameRate })),
  growthRounds,
);
const full = new Map<ServerName, Sample>();
if (hasProc) {
  for (const name of names) {
    say(`${name}: connections until its core is full`);
    full.set(
      name,
      await fillCore(name, 1e6 / median(pick(samples, name, levels.at(-1)).map(({ cpu }) => cpu))),
    );
  }
}
printServers();
say('two servers behind nginx beside one');
const cluster = await measureCluster(quick ? 200 : 2000, forMs);
say('the page in a browser');
const page = await measurePage();
say('a newcomer');
const newcomer = await measureNewcomer();

table('The rest', ['what', 'measured'], [...cluster, ...page, ...newcomer]);
table(...stormTable());
console.log(`\nMeasured in ${Math.round((Date.now() - started) / 60_000)} minutes.`);

/** Measures every server once before any of them a second time: what else the machine does falls on all. */
async function interleave(
  servers: ServerName[],
  loads: { at: number[]; tickMs: number }[],
  times: number,
): Promise<Sample[]> {
  const all: Sample[] = [];
  for (let round = 1; round <= times; round += 1) {
    for (const name of servers) {
      for (const { at, tickMs } of loads) {
        say(`round ${round} of ${times}: ${name} with ${at.join(', ')} connections, a frame in ${tickMs} ms`);
        all.push(...(await measureLevels(name, at, forMs, tickMs)));
      }
    }
  }
  return all;
}

function printServers(): void {
  const top = levels.at(-1) ?? 0;
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model}, ${cpus().length} cores, ${process.platform} ${release()}, Node ${process.version}; ${versions()}.`,
  );
  console.log(
    `Medians of ${rounds} rounds (least – most); ${isPinned ? 'the server on one core, the load on another' : 'server and load share the cores'}.`,
  );

  table(
    `${count(top)} connections, a frame a second each`,
    [
      'server',
      'CPU per frame, µs',
      'user + system',
      'beside the baseline',
      'kB per connection',
      'late p50 / p99 / max, ms',
      'lost to drift, per million',
      'not come within a tick',
      'frames/s that fill a core',
    ],
    names.map((name) => {
      const own = pick(samples, name, top);
      const core = full.get(name);
      return [
        name,
        spread(own.map(({ cpu }) => cpu)),
        `${fixed(median(own.map(({ user }) => user)))} + ${fixed(median(own.map(({ system }) => system)))}`,
        spread(ratios(samples, name, top), 2),
        fixed(median(own.map(({ kilobytes = NaN }) => kilobytes))),
        late(own),
        fixed(median(own.map(({ drift }) => drift * 1e6)), 0),
        count(own.reduce((sum, { missing }) => sum + missing, 0)),
        core === undefined
          ? '–'
          : `${core.clientCpu > 0.9 ? 'at least ' : ''}${count(Math.round(core.framesPerSecond / core.core / 100) * 100)}`,
      ];
    }),
  );

  table(
    'CPU per frame, µs, and p99 of lateness, ms, by the number of connections',
    ['server', ...levels.map(count)],
    names.map((name) => [
      name,
      ...levels.map((level) => {
        const own = pick(samples, name, level);
        return `${spread(own.map(({ cpu }) => cpu))}; ${fixed(median(own.map(({ lateness }) => lateness.p99)))}`;
      }),
    ]),
  );

  tableOfGrowth(
    `From ${growthLevels[0]} connections to the limit on open files, a frame a second each`,
    growth,
    growthLevels,
  );
  tableOfGrowth(
    `${count(sameRate)} frames a second in all, from so many connections`,
    atSameRate,
    sameRateLevels,
  );
}

function tableOfGrowth(title: string, of: Sample[], at: number[]): void {
  table(
    `${title}: CPU per frame, µs (${growthRounds} rounds)`,
    ['server', ...at.map(count)],
    grown.map((name) => [name, ...at.map((level) => spread(pick(of, name, level).map(({ cpu }) => cpu)))]),
  );
}

function pick(from: Sample[], name: ServerName, connections = 0): Sample[] {
  return from.filter((sample) => sample.server === name && sample.connections === connections);
}

function ratios(from: Sample[], name: ServerName, connections: number): number[] {
  const baseline = pick(from, 'baseline', connections);
  return pick(from, name, connections).map(({ cpu }, round) => cpu / (baseline[round]?.cpu ?? NaN));
}

function late(of: Sample[]): string {
  const [p50, p99] = (['p50', 'p99'] as const).map((at) =>
    fixed(median(of.map(({ lateness }) => lateness[at]))),
  );
  return `${p50} / ${p99} / ${fixed(Math.max(...of.map(({ lateness }) => lateness.max)))}`;
}

function spread(values: number[], digits = 1): string {
  return `${fixed(median(values), digits)} (${fixed(Math.min(...values), digits)} – ${fixed(Math.max(...values), digits)})`;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function fixed(value: number, digits = 1): string {
  return Number.isNaN(value) ? '–' : value.toFixed(digits).replace(/^-(?=0(\.0)?$)/, ''); // -0 is 0
}

function count(value: number): string {
  return value.toLocaleString('en');
}

function versions(): string {
  const used = [
    'express',
    'cors',
    '@fastify/sse',
    'fastify',
    'express-sse',
    'better-sse',
    'hono',
    '@hono/node-server',
  ] as const;
  return used.map((name) => `${name} ${packages.packages[`node_modules/${name}`].version}`).join(', ');
}

function table(title: string, head: string[], rows: string[][]): void {
  console.log(`\n**${title}**\n`);
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}

function say(line: string): void {
  console.error(`${Math.round((Date.now() - started) / 1000)} s  ${line}`);
}
