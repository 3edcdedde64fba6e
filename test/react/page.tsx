import { StrictMode, useState, type ReactElement } from 'react';
import { useEventSource } from '../../client/useEventSource.ts';

/** A page that uses the hook as a product would: handlers and options are new at each render. */
export function Page(): ReactElement {
  const [url, setUrl] = useState('/stream');
  const [text, setText] = useState('');
  const { status, pause, resume } = useEventSource(
    url,
    { message: ({ data }) => setText((before) => before + data), done: () => setText('done') },
    { staleAfterMs: 10_000 },
  );
  return (
    <main>
      <p role="status">{status.state}</p>
      <p role="log">{text}</p>
      <button onClick={pause}>Pause</button>
      <button onClick={resume}>Resume</button>
      <button onClick={() => setUrl('/other')}>Other</button>
    </main>
  );
}

export const page = (
  <StrictMode>
    <Page />
  </StrictMode>
);
