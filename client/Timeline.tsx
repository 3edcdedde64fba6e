import { memo, type ReactElement } from 'react';
import { besideBreaks, stretchesOf, type Entry } from './conversation.ts';
import { useNow } from './useNow.ts';

/** The time between the ends of the line; the right end is now. */
const WINDOW_MS = 12_000;

/** Each message moves the line. After this long without one, the clock moves it. */
const QUIET_MS = 1500;

/** Places are counted from a round time, so that they stay as they are while the line moves. */
const ORIGIN_STEP_MS = 600_000;

const WORDS = { open: 'open', reconnecting: 'offline', paused: 'paused', closed: 'closed' };

/** The last seconds as a line: a dot for each message, and a break for each time without a connection. */
export function Timeline({ entries }: { entries: readonly Entry[] }): ReactElement {
  const stretches = stretchesOf(entries);
  const current = stretches.at(-1);
  const isBroken = current !== undefined && current.state !== 'open';
  const newest = entries.at(-1)?.time ?? 0;
  const now = Math.max(newest, useNow(isBroken ? 1000 : QUIET_MS, newest));
  const origin = now - (now % ORIGIN_STEP_MS);

  const place = (time: number): string => percent(time - origin + WINDOW_MS);
  const isNear = ({ time }: { time: number }): boolean => now - time < WINDOW_MS;

  return (
    <figure className="timeline">
      <div className="window" data-state={current?.state} aria-hidden="true">
        <div className="track" style={{ transform: `translateX(-${percent(now - origin)})` }}>
          {stretches.map(({ key, state, from, to = from }) => (
            <i
              key={key}
              className="stretch"
              data-state={state}
              style={{ left: place(from), width: percent(to - from) }}
            >
              {state !== 'open' && to > from && (
                <span className="gap">{`${((to - from) / 1000).toFixed(1)} s ${WORDS[state]}`}</span>
              )}
            </i>
          ))}
          {entries
            .filter((entry) => entry.kind === 'message' && isNear(entry))
            .map(({ key, time }) => (
              <Dot key={key} left={place(time)} />
            ))}
          {besideBreaks(entries)
            .filter(isNear)
            .map(({ key, time, id, side }) => (
              <span key={key} className="id" data-side={side} style={{ left: place(time) }}>
                {id}
              </span>
            ))}
        </div>
        {isBroken && (
          <span className="gap">
            {current.after && `after ${current.after}: `}
            {Math.round((now - current.from) / 1000)} s {WORDS[current.state]}
          </span>
        )}
      </div>
      <figcaption>The last 12 seconds. Each dot is a message.</figcaption>
    </figure>
  );
}

/** A time as a part of the window. */
function percent(ms: number): string {
  return `${(100 * ms) / WINDOW_MS}%`;
}

/** Memoized: a new message does not render older dots again. */
const Dot = memo(function Dot({ left }: { left: string }): ReactElement {
  return <i className="dot" style={{ left }} />;
});
