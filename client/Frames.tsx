import type { ReactElement } from 'react';

/** One frame as it arrived; `time` in ms since the epoch. */
export interface Frame {
  id: string;
  type: string;
  data: string;
  time: number;
}

/** The frames, newest first, in the columns of a browser's network panel. */
export function Frames({ frames }: { frames: readonly Frame[] }): ReactElement {
  return (
    <table>
      <caption>Frames</caption>
      <thead>
        <tr>
          <th scope="col">Id</th>
          <th scope="col">Type</th>
          <th scope="col">Data</th>
          <th scope="col">Time</th>
        </tr>
      </thead>
      <tbody>
        {frames.map(({ id, type, data, time }) => (
          <tr key={id}>
            <td>{id}</td>
            <td>{type}</td>
            <td>{data}</td>
            <td>{clock(time)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Local time of day with milliseconds, such as 09:41:07.250. */
function clock(time: number): string {
  const at = new Date(time);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
