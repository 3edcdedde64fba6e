import type { ReactElement } from 'react';
import type { Status } from './eventSource.ts';

/** The state of the subscription, in words. */
export function StatusLine({ status }: { status: Status }): ReactElement {
  return (
    <p className="status" role="status" data-state={status.state}>
      {words(status)}
    </p>
  );
}

function words(status: Status): string {
  if (status.state !== 'reconnecting') return status.state;
  const due = 'dueAt' in status ? `, due at ${new Date(status.dueAt).toLocaleTimeString()}` : '';
  return `reconnecting, attempt ${status.attempt}${due}`;
}
