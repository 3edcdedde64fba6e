import { Fragment, memo, useState, type ReactElement } from 'react';
import type { Frame } from './frame.ts';

const FRAMES_SHOWN = 50;

/** The frames, newest first, in the columns of a browser's network panel, and as `curl` shows them. */
export function Frames({ frames }: { frames: readonly Frame[] }): ReactElement {
  const [held, setHeld] = useState<readonly Frame[]>();
  const shown = (held ?? frames).slice(0, FRAMES_SHOWN);

  return (
    <section className="frames">
      <header>
        <h2 id="frames">Frames</h2>
        <button aria-pressed={held !== undefined} onClick={() => setHeld(held ? undefined : frames)}>
          {held ? 'Let go' : 'Hold to read'}
        </button>
      </header>
      <div className="scroll" role="region" aria-labelledby="frames" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Id</th>
              <th scope="col">Type</th>
              <th scope="col">Data</th>
              <th scope="col">Time</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((frame, i) => (
              <Fragment key={frame.id}>
                {frame.isLast && i > 0 && (
                  <tr className="mark">
                    <td colSpan={4}>reconnected</td>
                  </tr>
                )}
                <Row frame={frame} />
              </Fragment>
            ))}
          </tbody>
        </table>
      </div>
      <details>
        <summary>As raw text</summary>
        <pre tabIndex={0}>
          {shown
            .map(({ id, data }) => `id: ${id}\ndata: ${data}\n`)
            .toReversed()
            .join('\n')}
        </pre>
      </details>
    </section>
  );
}

/** Rendered once: the other forty-nine stay as they are when a frame comes. */
const Row = memo(function Row({ frame: { id, type, data, time } }: { frame: Frame }): ReactElement {
  return (
    <tr data-id={id}>
      <td>{id}</td>
      <td>{type}</td>
      <td>{data}</td>
      <td>{clock(time)}</td>
    </tr>
  );
});

/** Local time of day with milliseconds, such as 09:41:07.250. */
function clock(time: number): string {
  const at = new Date(time);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
