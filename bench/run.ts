// Prints what bench/README.md says, as Markdown. --quick tries the bench itself: its figures mean little.
import { availableParallelism, cpus, release } from 'node:os';
import { resolve } from 'node:path';
import type { Sample } from './load.ts';
import { measureInRounds, measureStorm, type Result } from './measure.ts';
import packages from './package-lock.json' with { type: 'json' };
import { fixed, median, printTable, spread } from './report.ts';
import { BASELINE, type Contender, nodeServers, otherServers, THIS_SERVER, TUTORIAL } from './servers.ts';

if (process.platform !== 'linux' || availableParallelism() < 2) {
  console.error(
    `bench: expected Linux with two cores, found ${process.platform} with ${availableParallelism()}`,
  );
  process.exit(1);
}

const started = performance.now();
const quick = process.argv.includes('--quick');
/** The folder of another checkout of this project, to compare this server with. */
const old = process.env['BENCH_OLD'];
const OLD = 'the old one';
const NODES = quick ? [24] : [20, 22, 24];
/** The version that all servers of Node run on in the first table. */
const MAIN = 'Node 24';
const [connections, stormClients, measuredMs] = quick ? [500, 500, 1000] : [10_000, 5000, 3000];
const rounds = quick ? 1 : old === undefined ? 3 : 5;

const onNode = NODES.flatMap(nodeServers);
const ours = onNode.filter(({ name }) => name === THIS_SERVER);
const others = onNode.filter((server) => !ours.includes(server));
const first =
  old === undefined
    ? [...ours, ...others.filter(({ runtime }) => runtime === MAIN), ...otherServers()]
    : ours.flatMap((server) => [server, { ...server, name: OLD, folder: resolve(old) }]);
const results = await measureInRounds(first, connections, rounds, measuredMs);

console.log(`${new Date().toISOString().slice(0, 10)}, ${machine()}; ${versions()}.`);
console.log(quick ? 'A quick run: its figures mean little.' : `Medians of ${rounds} rounds (least – most).`);
const beside = old === undefined ? `× the ${BASELINE}` : `× ${OLD}`;
printTable(
  `${connections.toLocaleString('en')} connections, a frame a second each`,
  ['server', 'CPU per frame, µs', beside, 'kB a connection', 'p99 late, ms', beside, 'frames lost'],
  results.map((result) => [
    `${result.contender.name}, ${result.contender.runtime}`,
    spread(all(result, 'cpu')),
    ratio(result, 'cpu'),
    spread(all(result, 'kilobytes')),
    spread(all(result, 'latenessMs')),
    ratio(result, 'latenessMs'),
    String(all(result, 'lost').reduce((sum, lost) => sum + lost)),
  ]),
);

if (old === undefined) {
  const onOtherNodes = others.filter(({ runtime }) => runtime !== MAIN);
  results.push(...(await measureInRounds(onOtherNodes, connections, 1, measuredMs)));
  printTable(
    'Memory by the version of Node, kB a connection',
    ['server', ...NODES.map((version) => `Node ${version}`)],
    [...new Set(onNode.map(({ name }) => name))].map((name) => [
      name,
      ...NODES.map((version) => {
        const result = find((server) => server.name === name && server.runtime === `Node ${version}`);
        return result === undefined ? '' : fixed(median(all(result, 'kilobytes')));
      }),
    ]),
  );

  const stormRows: string[][] = [];
  const isInStorm = ({ name, runtime }: Contender): boolean =>
    [THIS_SERVER, TUTORIAL].includes(name) && runtime === MAIN;
  for (const contender of onNode.filter(isInStorm)) {
    const { busiest, lastAfterS, lost, startedOver } = await measureStorm(contender, stormClients);
    const name = `${contender.name}, ${contender.runtime}`;
    stormRows.push([name, String(busiest), fixed(lastAfterS), String(lost), String(startedOver)]);
  }
  printTable(
    `The storm: ${stormClients.toLocaleString('en')} clients, whose server is killed and started again`,
    ['server', 'connections in 100 ms, at most', 'all back after, s', 'numbers lost', 'clients back at 1'],
    stormRows,
  );
  await import('./client.ts');
}
console.log(`\nMeasured in ${fixed((performance.now() - started) / 60_000)} minutes.`);

function all({ samples }: Result, what: keyof Sample): number[] {
  return samples.map((sample) => sample[what]);
}

function find(isWanted: (contender: Contender) => boolean): Result | undefined {
  return results.find(({ contender }) => isWanted(contender));
}

/** The median of a result's ratios, round by round, to the baseline's or the old server's. */
function ratio(result: Result, what: keyof Sample): string {
  const { runtime } = result.contender;
  const other = find(({ name, runtime: its }) => name === BASELINE || (name === OLD && its === runtime));
  const ratios = all(result, what).map((value, i) => value / (other?.samples[i]?.[what] ?? NaN));
  return median(ratios).toFixed(2);
}

function machine(): string {
  return `${cpus()[0]?.model}, a core for the server, one for the load, Linux ${release()}`;
}

/** What is installed; Go and the C compiler are the system's. */
function versions(): string {
  const { '': direct, ...installed } = packages.packages;
  const found = new Map(Object.entries(installed).map(([path, { version }]) => [path, version]));
  const names = Object.keys({ ...direct.optionalDependencies, ...direct.dependencies });
  return names.map((name) => `${name} ${found.get(`node_modules/${name}`)}`).join(', ');
}
