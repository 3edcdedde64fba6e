import { useRef, useState, type ReactElement } from 'react';
import type { SubscriptionState } from './useEventSource.ts';

/** What one can do to the connection, here and in a terminal. */
export function ConnectionControls({ subscription }: { subscription: SubscriptionState }): ReactElement {
  const { status, pause, resume, drop } = subscription;
  const isConnected = status.state === 'open' || status.state === 'connecting';

  return (
    <div className="break">
      <p>
        {status.state === 'paused' ? (
          <button onClick={resume}>Resume</button>
        ) : (
          <button onClick={pause} disabled={status.state === 'closed'}>
            Pause
          </button>
        )}
        <button onClick={drop} disabled={!isConnected}>
          Drop the connection
        </button>
      </p>
      <p className="real">
        For real: stop the server with <kbd>Ctrl</kbd> <kbd>C</kbd>, start it again with{' '}
        <code>npm start</code>
        {import.meta.env.DEV && (
          <>
            {' '}
            (<code>npm run build</code> first; <code>npm run dev</code> would reload the page)
          </>
        )}
      </p>
      <CurlLine />
    </div>
  );
}

/** The command that shows the stream in a terminal, to copy with one click. */
function CurlLine(): ReactElement {
  const code = useRef<HTMLElement>(null);
  const [isCopied, setIsCopied] = useState(false);

  async function copy(): Promise<void> {
    if (code.current) window.getSelection()?.selectAllChildren(code.current);
    // Pages without HTTPS have no clipboard, except on localhost: there the selection waits for Ctrl C.
    await navigator.clipboard?.writeText(code.current?.textContent ?? '');
    setIsCopied(navigator.clipboard !== undefined);
  }

  return (
    <p className="curl">
      <code ref={code}>curl -N {location.origin}/count</code>
      <button onClick={copy}>{isCopied ? 'Copied' : 'Copy'}</button>
    </p>
  );
}
