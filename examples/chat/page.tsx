import { useEffect, useRef, useState, type FormEvent, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { parse } from '../../client/subscribe.ts';
import { useEventSource, type EventSourceOptions } from '../../client/useEventSource.ts';
import { newId, send, words } from '../words.ts';
import type { AnswerEvents } from './server.ts';

const isId = (text: string): boolean => /^[\w-]{16,64}$/.test(text);
const ENDINGS: Record<AnswerEvents['ended'], string> = {
  complete: 'Complete',
  stopped: 'Stopped',
  unread: 'Stopped, because nobody was reading',
  failed: 'Failed',
};

/** The ID of the newest answer is in the URL, so that a reload and another tab show the same conversation. */
function Chat(): ReactElement {
  const [ids, setIds] = useState([location.hash.slice(1)].filter(isId)); // the oldest first
  const [problem, setProblem] = useState('');
  const asked = useRef({ id: '', prompt: '' }); // until the server has taken it: asked twice, it is answered once
  const input = useRef<HTMLInputElement>(null);
  const newest = ids.at(-1);
  useEffect(() => {
    if (newest) scrollTo(0, document.body.scrollHeight);
  }, [newest]);

  async function ask(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const prompt = input.current?.value ?? '';
    if (asked.current.prompt !== prompt) asked.current = { id: newId(), prompt };
    const { id } = asked.current;
    const found = await send('PUT', `/chats/${id}`, { prompt, after: newest });
    setProblem(found);
    if (found !== '') return;
    if (asked.current.id === id) asked.current = { id: '', prompt: '' };
    history.pushState(null, '', `#${id}`);
    setIds((shown) => (shown.includes(id) ? shown : [...shown, id]));
    if (input.current?.value === prompt) input.current.value = '';
  }

  /** The answer before the oldest, if that has one. */
  function showBefore(id: string): void {
    if (isId(id)) setIds((shown) => (shown.includes(id) ? shown : [id, ...shown]));
  }

  return (
    <>
      <h1>Chat</h1>
      {ids.map((id) => (
        <Turn key={id} id={id} onBefore={showBefore} onStop={() => input.current?.focus()} />
      ))}
      <form onSubmit={ask}>
        <input ref={input} aria-label="Question" placeholder="Ask, or make it “fail”" required />
        <button>Ask</button>
        {problem && <p role="alert">The question was not taken. {problem}</p>}
      </form>
    </>
  );
}

interface TurnProps {
  id: string;
  onBefore?: (id: string) => void;
  onStop?: () => void;
  options?: EventSourceOptions;
}

/** A question with its answer. */
export function Turn({ id, onBefore, onStop, options }: TurnProps): ReactElement {
  const [prompt, setPrompt] = useState('');
  const [text, setText] = useState('');
  const [tool, setTool] = useState('');
  const [ending, setEnding] = useState<AnswerEvents['ended']>();
  const [problem, setProblem] = useState('');
  const { status } = useEventSource<AnswerEvents>(
    `/chats/${id}`,
    {
      question({ data }) {
        setPrompt(parse(data).prompt);
        onBefore?.(parse(data).after);
      },
      token: ({ data }) => setText((before) => before + parse(data)),
      tool: ({ data }) => setTool(`${parse(data).tool}: ${parse(data).result}`),
      ended: ({ data }) => setEnding(data),
      reset: () => setText(''),
    },
    options,
  );
  const isOver = ending !== undefined || status.state === 'closed';

  async function stop(): Promise<void> {
    const found = await send('DELETE', `/chats/${id}`);
    setProblem(found);
    if (found === '') onStop?.(); // the button goes, and with it the focus
  }

  return (
    <>
      <h2>{prompt}</h2>
      {tool && <p className="quiet">{tool}</p>}
      <p className="answer" aria-live="polite" aria-busy={!isOver}>
        {text}
      </p>
      {ending === 'failed' && <p role="alert">This answer is not complete.</p>}
      {isOver && !ending && <p role="alert">The server does not have this answer, or not any more.</p>}
      {problem && <p role="alert">{problem}</p>}
      <p className="row">
        {!isOver && <button onClick={stop}>Stop</button>}
        <span role="status">{ending ? ENDINGS[ending] : !isOver && words(status)}</span>
      </p>
    </>
  );
}

window.addEventListener('hashchange', () => location.reload());
const main = document.querySelector('main');
if (main) createRoot(main).render(<Chat />);
