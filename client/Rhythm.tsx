import type { ReactElement } from 'react';
import type { Frame } from './frame.ts';

const WINDOW_MS = 120_000;
const WIDTH = 360;
const HEIGHT = 120;

/** Deviations that get a line, ms. */
const LINES = [1000, 10, 0, -10];

/** The gaps between arrivals over the last two minutes, as deviations from the usual one on a logarithmic scale. */
export function Rhythm({ frames }: { frames: readonly Frame[] }): ReactElement {
  const now = frames[0]?.time ?? 0;
  const gaps = frames.flatMap(({ time }, i) => {
    const before = frames[i + 1];
    return before && now - time < WINDOW_MS ? [{ time, gap: time - before.time }] : [];
  });
  const sorted = gaps.map(({ gap }) => gap).toSorted((a, b) => a - b);
  const usual = sorted[sorted.length >> 1] ?? 0;
  const points = gaps.map(
    ({ time, gap }) => `${(WIDTH * (1 - (now - time) / WINDOW_MS)).toFixed(1)},${y(gap - usual)}`,
  );
  const summary = `usually ${usual.toFixed(0)} ms, at most ${(sorted.at(-1) ?? 0).toFixed(0)} ms`;

  return (
    <figure className="rhythm">
      <figcaption>Gaps between frames{gaps.length > 0 && `: ${summary}`}</figcaption>
      <svg viewBox={`0 0 ${WIDTH + 56} ${HEIGHT}`} aria-hidden="true">
        {LINES.map((deviation) => (
          <g key={deviation}>
            <line x1="0" x2={WIDTH} y1={y(deviation)} y2={y(deviation)} />
            <text x={WIDTH + 8} y={y(deviation)}>
              {label(deviation)}
            </text>
          </g>
        ))}
        <polyline points={points.join(' ')} />
        {points.slice(0, 1).map((point) => {
          const [cx, cy] = point.split(',');
          return <circle key="newest" cx={cx} cy={cy} r="3" />;
        })}
      </svg>
    </figure>
  );
}

/** Where a deviation stands: a step for each power of ten, both ways from the middle, up to a minute. */
function y(deviation: number): string {
  const steps = Math.sign(deviation) * Math.min(4.8, Math.log10(1 + Math.abs(deviation)));
  return (HEIGHT / 2 - (steps * HEIGHT) / 10).toFixed(1);
}

function label(deviation: number): string {
  if (deviation === 0) return 'on time';
  return deviation === 1000 ? '+1 s' : `${deviation > 0 ? '+' : '−'}10 ms`;
}
