import { useEffect, useState, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import type { Status } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import type { JobEvents } from './server.ts';
import '../page.css';

const API = `http://${location.hostname}:${Number(location.port) + 1}`;

/** `/?token` shows the other way: a token in the URL instead of the cookie. */
const WITH_TOKEN = location.search === '?token';
const RENEW_MS = 30_000;

/** The job's ID stands in the URL, so that a reload and another tab show the same job. */
function App(): ReactElement {
  const [id, setId] = useState(location.hash.slice(1));
  const [isSignedIn, setSignedIn] = useState(true); // until an answer says otherwise
  const [subscriptions, setSubscriptions] = useState(1);

  async function signIn(form: FormData): Promise<void> {
    const { ok } = await call('POST', '/session', { user: form.get('user') });
    setSignedIn(ok);
  }

  async function signOut(): Promise<void> {
    const { ok } = await call('DELETE', '/session');
    if (ok) setSignedIn(false);
  }

  async function start(): Promise<void> {
    const response = await call('POST', '/jobs');
    if (response.status === 401) return setSignedIn(false);
    if (!response.ok) return;
    const job: { id: string } = await response.json();
    history.replaceState(null, '', `#${job.id}`);
    setId(job.id);
  }

  /** Either the session is over, or only the token, while the machine slept. */
  async function refused(): Promise<void> {
    const { ok } = await call('GET', '/session');
    setSignedIn(ok);
    setSubscriptions((before) => before + 1);
  }

  if (!isSignedIn) {
    return (
      <>
        <h1>Sign in</h1>
        <form action={signIn}>
          <input name="user" aria-label="Name" placeholder="Any name" required />
          <button>Sign in</button>
        </form>
      </>
    );
  }
  return (
    <>
      <h1>Job</h1>
      <p className="row">
        <button onClick={start}>Start a job</button>
        <button onClick={signOut}>Sign out</button>
      </p>
      {id && <Progress key={`${id} ${subscriptions}`} id={id} onRefused={refused} />}
    </>
  );
}

function Progress({ id, onRefused }: { id: string; onRefused: () => void }): ReactElement {
  const [percent, setPercent] = useState(0);
  const [result, setResult] = useState('');
  const token = useToken();
  const url = `${API}/jobs/${id}`;
  const { status } = useEventSource<JobEvents>(
    // Called before each attempt, with the token of the last render.
    WITH_TOKEN ? () => `${url}?token=${token}` : url,
    {
      progress: ({ data }) => setPercent(Number(data)),
      result: ({ data }) => setResult(data),
    },
    { onStatus, withCredentials: !WITH_TOKEN, enabled: !WITH_TOKEN || token !== '' },
  );

  function onStatus(next: Status): void {
    if (next.state === 'closed' && next.status === 401) onRefused();
  }

  return (
    <>
      <progress value={percent} max={100} aria-label="Progress" />
      <p role="status">{result || (status.state === 'closed' ? 'This job is gone.' : status.state)}</p>
    </>
  );
}

/** A token that is always fresh, while the page is awake. */
function useToken(): string {
  const [token, setToken] = useState('');
  useEffect(() => {
    if (!WITH_TOKEN) return;
    async function renew(): Promise<void> {
      const response = await call('POST', '/tokens');
      if (response.ok) setToken((await response.json()).token);
    }
    void renew();
    const timer = setInterval(renew, RENEW_MS);
    return () => clearInterval(timer);
  }, []);
  return token;
}

function call(method: string, path: string, body?: object): Promise<Response> {
  const json = body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return fetch(API + path, { method, credentials: 'include', ...json }).catch(() => Response.error());
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<App />);
