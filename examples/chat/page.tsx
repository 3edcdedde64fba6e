import { useState, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { parse } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import type { AnswerEvents } from './server.ts';
import '../page.css';

/** The chat's ID stands in the URL, so that a reload and another tab show the same answer. */
function Chat(): ReactElement {
  const [id, setId] = useState(location.hash.slice(1));
  const [problem, setProblem] = useState('');

  async function ask(form: FormData): Promise<void> {
    const response = await fetch('/chats', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ prompt: form.get('prompt') }),
    }).catch(() => Response.error());
    if (!response.ok) return setProblem('The question did not reach the server.');
    const chat: { id: string } = await response.json();
    history.replaceState(null, '', `#${chat.id}`);
    setProblem('');
    setId(chat.id);
  }

  return (
    <>
      <h1>Chat</h1>
      <form action={ask}>
        <input name="prompt" aria-label="Question" placeholder="Ask, or make it “fail”" required />
        <button>Ask</button>
      </form>
      {problem && <p role="alert">{problem}</p>}
      {id && <Answer key={id} id={id} />}
    </>
  );
}

function Answer({ id }: { id: string }): ReactElement {
  const [text, setText] = useState('');
  const [ending, setEnding] = useState<AnswerEvents['ended']>();
  const { status } = useEventSource<AnswerEvents>(`/chats/${id}`, {
    token: ({ data }) => setText((before) => before + parse(data)),
    ended: ({ data }) => setEnding(data),
  });
  const isLost = status.state === 'closed' && !ending;

  return (
    <>
      <p className="answer" aria-live="polite" aria-busy={!ending}>
        {text}
      </p>
      {ending === 'failed' && <p role="alert">The model has failed. This answer is not complete.</p>}
      {isLost && <p role="alert">The server has lost this answer. Ask again.</p>}
      <p role="status">{ending ?? status.state}</p>
      {!ending && !isLost && (
        <button onClick={() => fetch(`/chats/${id}`, { method: 'DELETE' })}>Stop</button>
      )}
    </>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<Chat />);
