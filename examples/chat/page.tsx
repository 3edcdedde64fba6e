import { useRef, useState, type FormEvent, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { parse } from '../../client/subscribe.ts';
import { useEventSource, type EventSourceOptions } from '../../client/useEventSource.ts';
import { newId, send, words } from '../words.ts';
import type { AnswerEvents } from './server.ts';

const ID = /^[\w-]{16,64}$/;
const ENDINGS: Record<AnswerEvents['ended'], string> = {
  complete: 'Complete',
  stopped: 'Stopped',
  unread: 'Stopped, because nobody was reading',
  failed: 'Failed',
};

/** The ID of the newest answer is in the URL, so that a reload and another tab show the same conversation. */
function Chat(): ReactElement {
  const [id, setId] = useState(location.hash.slice(1));
  const [problem, setProblem] = useState('');
  const next = useRef(newId()); // until the server has taken it: what is asked twice is answered once

  async function ask(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const prompt = new FormData(form).get('prompt');
    const found = await send('PUT', `/chats/${next.current}`, { prompt, after: id });
    setProblem(found);
    if (found !== '') return;
    history.pushState(null, '', `#${next.current}`);
    setId(next.current);
    next.current = newId();
    form.reset();
  }

  return (
    <>
      <h1>Chat</h1>
      {ID.test(id) && <Turn key={id} id={id} />}
      <form onSubmit={ask}>
        <input name="prompt" aria-label="Question" placeholder="Ask, or make it “fail”" required />
        <button>Ask</button>
      </form>
      {problem && <p role="alert">The question was not taken. {problem}</p>}
    </>
  );
}

/** A question with its answer, below those before it. */
export function Turn({ id, options }: { id: string; options?: EventSourceOptions }): ReactElement {
  const [question, setQuestion] = useState({ prompt: '', after: '' });
  const [text, setText] = useState('');
  const [tool, setTool] = useState('');
  const [ending, setEnding] = useState<AnswerEvents['ended']>();
  const [problem, setProblem] = useState('');
  const { status } = useEventSource<AnswerEvents>(
    `/chats/${id}`,
    {
      question: ({ data }) => setQuestion(parse(data)),
      token: ({ data }) => setText((before) => before + parse(data)),
      tool: ({ data }) => setTool(`${parse(data).tool}: ${parse(data).result}`),
      ended: ({ data }) => setEnding(data),
      reset: () => setText(''),
    },
    options,
  );
  const isOver = ending !== undefined || status.state === 'closed';

  return (
    <>
      {ID.test(question.after) && <Turn key={question.after} id={question.after} />}
      <h2>{question.prompt}</h2>
      {tool && <p className="quiet">{tool}</p>}
      <p className="answer" aria-live="polite" aria-busy={!isOver}>
        {text}
      </p>
      {ending === 'failed' && <p role="alert">The model has failed. This answer is not complete.</p>}
      {isOver && !ending && <p role="alert">The server does not have this answer, or not any more.</p>}
      {problem && <p role="alert">{problem}</p>}
      <p className="row">
        {!isOver && (
          <button onClick={async () => setProblem(await send('DELETE', `/chats/${id}`))}>Stop</button>
        )}
        <span role="status">{ending ? ENDINGS[ending] : !isOver && words(status)}</span>
      </p>
    </>
  );
}

window.addEventListener('hashchange', () => location.reload());
const main = document.querySelector('main');
if (main) createRoot(main).render(<Chat />);
