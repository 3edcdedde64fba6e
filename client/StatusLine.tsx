import type { ReactElement } from 'react';
import { resumption, type Entry } from './conversation.ts';
import type { Status } from './subscribe.ts';
import { useNow } from './useNow.ts';

/** The state of the subscription in words. Screen readers hear the state alone, once a change. */
export function StatusLine({ status, entries }: { status: Status; entries: readonly Entry[] }): ReactElement {
  return (
    <p className="status" role="status" data-state={status.state}>
      {status.state}
      {status.state === 'closed' && status.status !== undefined && ` · ${status.status}`}
      <span aria-hidden="true">
        {status.state === 'open' && resumed(entries)}
        {status.state === 'reconnecting' && status.status !== undefined && ` · ${status.status}`}
        {status.state === 'reconnecting' &&
          (status.dueAt === undefined ? (
            ` · attempt ${status.attempt}`
          ) : (
            <NextAttempt key={status.dueAt} dueAt={status.dueAt} />
          ))}
      </span>
    </p>
  );
}

/** That nothing was lost can be said of whole numbers alone. */
function resumed(entries: readonly Entry[]): string {
  const ids = resumption(entries);
  if (ids === undefined) return '';
  const isNext = /^\d+$/.test(ids.after) && ids.with === String(Number(ids.after) + 1);
  return ` · resumed after ${ids.after}${isNext ? ', nothing lost' : ` with ${ids.with}`}`;
}

function NextAttempt({ dueAt }: { dueAt: number }): string {
  const seconds = Math.max(0, Math.ceil((dueAt - useNow(1000)) / 1000));
  return ` · next attempt in ${seconds} s`;
}
