import type { Result, Sample } from './measure.ts';
import type { Contender } from './servers.ts';

/** Prints a table in Markdown. */
export function printTable(title: string, head: readonly string[], rows: readonly string[][]): void {
  console.log(`\n**${title}**\n`);
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}

/** The name of a server in tables. */
export function label({ name, runtime }: Contender): string {
  return `${name}, ${runtime}`;
}

/** The median of what a result says in its rounds. */
export function typical(result: Result | undefined, what: keyof Sample): number {
  return median(result?.rounds.map((sample) => sample[what]) ?? []);
}

/** CPU per frame beside another result's, round by round. */
export function ratios(result: Result, other: Result | undefined): number[] {
  return result.rounds.map(({ cpu }, round) => cpu / (other?.rounds[round]?.cpu ?? NaN));
}

/** The median; NaN of nothing. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** The median, the least and the most, such as `10.1 (9.8 – 10.4)`. */
export function spread(values: readonly number[]): string {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)].map((value) =>
    fixed(value),
  );
  return values.length > 1 ? `${middle} (${least} – ${most})` : String(middle);
}

/** A number with this many digits after the point, `–` where there is none. */
export function fixed(value: number, digits = 1): string {
  return Number.isFinite(value) ? value.toFixed(digits).replace(/^-(?=0(\.0+)?$)/, '') : '–'; // -0 is 0
}

/** A whole number with separators. */
export function count(value: number): string {
  return value.toLocaleString('en');
}
