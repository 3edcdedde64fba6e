import { useEffect, useRef, useState, type FormEvent, type MouseEvent, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import type { Status } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import { newId, send, words } from '../words.ts';
import type { JobEvents } from './server.ts';

/** The job's ID is in the URL, so that a reload and another tab show the same job. */
function App(): ReactElement {
  const [id, setId] = useState(/^#([\w-]{16,64})$/.exec(location.hash)?.[1] ?? '');
  const [isSignedIn, setSignedIn] = useState<boolean>(); // until the server has said
  const [problem, setProblem] = useState('');
  const next = useRef(newId()); // until the server has taken it: asked twice, it starts one job
  useEffect(() => void checkSession(), []);

  async function signIn(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const found = await send('POST', '/session', { user: new FormData(event.currentTarget).get('user') });
    setProblem(found);
    if (found === '') setSignedIn(true);
  }

  async function signOut(): Promise<void> {
    const found = await send('DELETE', '/session');
    setProblem(found);
    if (found === '') setSignedIn(false);
  }

  async function start({ detail }: MouseEvent): Promise<void> {
    if (detail > 1) return; // the second click of a double click
    const asked = next.current;
    const found = await send('PUT', `/jobs/${asked}`);
    setProblem(found);
    if (found !== '') return checkSession();
    history.replaceState(null, '', `#${asked}`);
    setId(asked);
    next.current = newId();
  }

  async function checkSession(): Promise<void> {
    const response = await fetch('/session').catch(() => undefined);
    setSignedIn(response?.status !== 401);
    if (response?.status === 401) setProblem('');
  }

  return (
    <>
      <h1>{isSignedIn === false ? 'Sign in' : 'Job'}</h1>
      {isSignedIn && (
        <p className="row">
          <button onClick={start} autoFocus>
            Start a job
          </button>
          <button onClick={signOut}>Sign out</button>
        </p>
      )}
      {isSignedIn === false && (
        <form onSubmit={signIn}>
          <input name="user" aria-label="Name" placeholder="Any name" required maxLength={100} autoFocus />
          <button>Sign in</button>
        </form>
      )}
      {problem && <p role="alert">{problem}</p>}
      {isSignedIn && id && <Progress key={id} id={id} onRefused={checkSession} />}
    </>
  );
}

function Progress({ id, onRefused }: { id: string; onRefused: () => void }): ReactElement {
  const [percent, setPercent] = useState(0);
  const [result, setResult] = useState('');
  const { status } = useEventSource<JobEvents>(
    `/jobs/${id}`,
    {
      progress: ({ data }) => setPercent(Number(data)),
      result: ({ data }) => setResult(data),
    },
    { onStatus },
  );

  function onStatus(next: Status): void {
    if (next.state === 'closed' && next.status === 401) onRefused();
  }

  return (
    <>
      <progress value={percent} max={100} aria-label="Progress" />
      <p role="status">
        {result || (status.state === 'closed' && status.status === 404 ? 'This job is gone' : words(status))}
      </p>
    </>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<App />);
