/** Prints a table in Markdown. */
export function printTable(title: string, head: readonly string[], rows: readonly string[][]): void {
  console.log(`\n**${title}**\n`);
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}

/** The median; NaN of nothing. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** The median, the least and the most, such as `10.1 (9.8 – 10.4)`. */
export function spread(values: readonly number[]): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(fixed);
  return values.length > 1 ? `${middle} (${least} – ${most})` : String(middle);
}

/** A number with one digit after the point. */
export function fixed(value: number): string {
  return value.toFixed(1);
}
