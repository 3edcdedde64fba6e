// Measures everything in bench/README.md and prints it as Markdown. --quick tries the bench itself; its
// figures mean little.
import { existsSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { goals } from './goals.ts';
import { measureInRounds } from './measure.ts';
import packages from './package-lock.json' with { type: 'json' };
import { hasProc, isPinned, openFilesLimit } from './processes.ts';
import { count, fixed, label, median, printTable, ratios, spread, typical } from './report.ts';
import { BASELINE, baselines, nodeServers, otherRuntimes, THIS_SERVER, TUTORIAL } from './servers.ts';
import { measureStorm } from './storm.ts';

const quick = process.argv.includes('--quick');
const currentNode = Number.parseInt(process.versions.node, 10);
const nodes = quick ? [currentNode] : [20, 22, 24];
/** The version that all servers of Node run on in the main table. */
const mainNode = nodes.at(-1) ?? currentNode;
const rounds = quick ? 1 : 3;
const measureMs = quick ? 1000 : 3000;
const main = { connections: quick ? 500 : 10_000, tickMs: 1000 };
/** As many as the limit on open files allows; 28,232 ports are Linux's default for clients. */
const most = Math.min(openFilesLimit() - 200, 28_000);
/** Beside the main one: fewer and more connections, and the same frames a second in all. */
const levels = (quick ? [] : [1000, most]).map((connections) => ({
  connections,
  tickMs: (connections * main.tickMs) / main.connections,
}));
const stormServers = [THIS_SERVER, TUTORIAL];
const stormClients = quick ? 500 : 5000;

if (!existsSync(join(import.meta.dirname, '../dist/index.html'))) {
  console.error('dist: expected the built page, found none. Run npm run build first');
  process.exit(1);
}
if (!hasProc) console.error('skipped CPU and memory: expected Linux, which has /proc');

const started = performance.now();
const onNode = nodes.flatMap(nodeServers).filter(({ name }) => !quick || stormServers.includes(name));
const inMain = onNode.filter(({ name, runtime }) => name === THIS_SERVER || runtime === `Node ${mainNode}`);
const onOtherNodes = onNode.filter((contender) => !inMain.includes(contender));
const ofC = baselines();

const contenders = [...inMain, ...(quick ? [] : otherRuntimes()), ...(quick ? ofC.slice(-1) : ofC)];
const results = await measureInRounds(contenders, [main], rounds, measureMs);

console.log(`${new Date().toISOString().slice(0, 10)}, ${machine()}; ${versions()}.`);
console.log(quick ? 'A quick run: its figures mean little.' : `Medians of ${rounds} rounds (least – most).`);

const baseline = results.find(({ contender }) => contender.name === BASELINE);
printTable(
  `${count(main.connections)} connections, a frame a second each`,
  ['server', 'CPU per frame, µs', '× the baseline', 'kB a connection', 'p99 late, ms', 'frames lost'],
  results.map((result) => [
    label(result.contender),
    spread(result.rounds.map(({ cpu }) => cpu)),
    fixed(median(ratios(result, baseline)), 2),
    fixed(typical(result, 'kilobytes')),
    fixed(typical(result, 'latenessMs')),
    count(result.rounds.reduce((sum, { lost }) => sum + lost, 0)),
  ]),
);

const byNode = [...results, ...(await measureInRounds(onOtherNodes, [main], 1, measureMs))];
printTable(
  'Memory by the version of Node, kB a connection',
  ['server', ...nodes.map((version) => `Node ${version}`)],
  [...new Set(onNode.map(({ name }) => name))].map((name) => [
    name,
    ...nodes.map((version) => {
      const runtime = `Node ${version}`;
      const result = byNode.find(({ contender }) => contender.name === name && contender.runtime === runtime);
      return fixed(typical(result, 'kilobytes'));
    }),
  ]),
);

const grown = results.filter(
  ({ contender: { name, runtime } }) =>
    name === BASELINE || (name === THIS_SERVER && runtime === `Node ${mainNode}`),
);
const atOtherLevels = await measureInRounds(
  grown.map(({ contender }) => contender),
  levels,
  rounds,
  measureMs,
);
const byConnections = [...grown, ...atOtherLevels].toSorted((a, b) => a.connections - b.connections);
printTable(
  `${count(main.connections)} frames a second in all: CPU per frame, µs, by the number of connections`,
  ['server', ...new Set(byConnections.map(({ connections }) => count(connections)))],
  grown.map(({ contender }) => [
    label(contender),
    ...byConnections
      .filter((result) => result.contender === contender)
      .map((result) => spread(result.rounds.map(({ cpu }) => cpu))),
  ]),
);

const stormRows: string[][] = [];
for (const contender of inMain.filter(
  ({ name, runtime }) => runtime === `Node ${mainNode}` && stormServers.includes(name),
)) {
  const { busiest, lastAfterMs, lost, startedOver } = await measureStorm(contender, stormClients);
  stormRows.push([
    label(contender),
    count(busiest),
    fixed(lastAfterMs / 1000),
    count(lost),
    count(startedOver),
  ]);
}
printTable(
  `The storm: ${count(stormClients)} clients, whose server is killed and started again`,
  [
    'server',
    'connections in the busiest 100 ms',
    'last client is back after, s',
    'numbers lost',
    'clients that began again at 1',
  ],
  stormRows,
);

console.log(`\n**Goals**\n\n${goals(results, byNode, byConnections).join('\n')}`);
console.log(`\nMeasured in ${fixed((performance.now() - started) / 60_000)} minutes.`);

function machine(): string {
  const cores = isPinned ? 'one for the server, one for the load' : 'shared by the server and the load';
  return `${cpus()[0]?.model}, ${cpus().length} cores, ${cores}, ${process.platform} ${release()}`;
}

/** What is installed; Go and the C compiler are the system's. */
function versions(): string {
  const names = [
    'node20',
    'node22',
    'node24',
    '@fastify/sse',
    'fastify',
    'better-sse',
    'express',
    'hono',
    '@hono/node-server',
    '@oven/bun-linux-x64',
    '@deno/linux-x64-glibc',
  ] as const;
  return names.map((name) => `${name} ${packages.packages[`node_modules/${name}`].version}`).join(', ');
}
