import type { ReactElement } from 'react';
import type { SubscriptionState } from './useEventSource.ts';

/** What one can do to the connection, here and in a terminal. */
export function Controls({
  subscription,
  onStartOver,
}: {
  subscription: SubscriptionState;
  onStartOver: () => void;
}): ReactElement {
  const { status, pause, resume, drop } = subscription;
  const isPaused = status.state === 'paused';

  return (
    <div className="controls">
      <div role="group" aria-label="Connection">
        <button onClick={drop} aria-disabled={status.state !== 'open'}>
          Cut the connection
        </button>
        <button onClick={isPaused ? resume : pause} aria-disabled={status.state === 'closed'}>
          {isPaused ? 'Resume' : 'Pause'}
        </button>
        <button onClick={onStartOver}>Start over</button>
      </div>
      <p>
        Or break it for real: stop the server with <kbd>Ctrl</kbd> <kbd>C</kbd>, start it again, and the count
        goes on. In a terminal: <code>curl -N {location.origin}/count</code>
      </p>
    </div>
  );
}
