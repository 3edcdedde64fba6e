import type { Result } from './measure.ts';
import { fixed, median, ratios, typical } from './report.ts';
import { BASELINE, THIS_SERVER } from './servers.ts';

/**
 * The goals of this project, a line each: the figure, the worst on all versions of Node, and the goal.
 * `results` are those of the main table, `byNode` hold the other servers on all versions of Node too,
 * `byConnections` go from few connections to many.
 */
export function goals(
  results: readonly Result[],
  byNode: readonly Result[],
  byConnections: readonly Result[],
): string[] {
  const ours = results.filter(isOurs);
  const others = results.filter((result) => !isOurs(result));
  const [fewest, ...more] = byConnections.filter(isOurs);

  const cpuBeside = (isOther: (result: Result) => boolean): number[] =>
    others.filter(isOther).flatMap((other) => ours.map((result) => median(ratios(result, other))));
  const memory = byNode
    .filter(isOurs)
    .flatMap((result) =>
      byNode
        .filter((other) => !isOurs(other) && other.contender.runtime === result.contender.runtime)
        .map((other) => typical(result, 'kilobytes') / typical(other, 'kilobytes')),
    );

  return [
    atMost(
      1.5,
      '× the baseline’s CPU per frame',
      cpuBeside(({ contender }) => contender.name === BASELINE),
    ),
    atMost(
      1,
      '× the CPU per frame of each Node library and of Deno',
      cpuBeside(({ contender }) => /Node|Deno/.test(contender.runtime)),
    ),
    atMost(
      1.1,
      '× the CPU per frame of Go and of Bun',
      cpuBeside(({ contender }) => /Go|Bun/.test(contender.runtime)),
    ),
    atMost(1, '× the memory of each Node library on the same version of Node', memory),
    atMost(
      5,
      'ms late, p99',
      ours.map((result) => typical(result, 'latenessMs')),
    ),
    atMost(
      0,
      'frames lost',
      ours.map(({ rounds }) => rounds.reduce((sum, { lost }) => sum + lost, 0)),
    ),
    atMost(
      1.1,
      '× the CPU per frame, with more connections and the same frames a second',
      more.map((result) => typical(result, 'cpu') / typical(fewest, 'cpu')),
    ),
  ];
}

function isOurs({ contender }: Result): boolean {
  return contender.name.startsWith(THIS_SERVER);
}

function atMost(limit: number, what: string, figures: readonly number[]): string {
  const worst = Math.max(...figures);
  if (!Number.isFinite(worst)) return `- not measured: at most ${limit} ${what}`;
  return `- ${worst <= limit ? 'reached' : 'NOT reached'}: at most ${limit} ${what}: ${fixed(worst, 2)}`;
}
