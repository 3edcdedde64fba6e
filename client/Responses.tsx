import type { ReactNode } from 'react';
import type { Message, Row } from './rows.ts';

/** The latest message as it came, with a word on each line. */
export function LastMessage({ message }: { message: Message | undefined }): ReactNode {
  return (
    <div className="message">
      <h2>{message ? 'The last message' : 'No message yet'}</h2>
      <dl>
        {message?.id && <Line field="id" value={<b>{message.id}</b>} word="the place to go on after a cut" />}
        {message?.data.split('\n').map((line, i) => (
          <Line key={i} field="data" value={line} word="what you see" />
        ))}
        {message && <Line word="a blank line ends it" />}
      </dl>
    </div>
  );
}

function Line({ field, value, word }: { field?: string; value?: ReactNode; word: string }): ReactNode {
  return (
    <>
      <dt>
        {field && `${field}: `}
        {value}
      </dt>
      <dd>{word}</dd>
    </>
  );
}

/** A row for each response: what was asked, what came, and how it ended. */
export function Responses({ rows }: { rows: readonly Row[] }): ReactNode {
  return (
    <section>
      <h2>Each row is one response, the newest first</h2>
      <ul>
        {rows.map((row) => (
          <Response key={row.key} row={row} />
        ))}
      </ul>
    </section>
  );
}

/** Where a row ended, the last id is marked: the next row goes on after it. */
function Response({ row: { after, messages, end } }: { row: Row }): ReactNode {
  const last = end && end !== 'closed' && messages.findLast(({ id }) => id !== '');
  const isShortened = messages[0] && messages[0].key > 1;
  return (
    <li>
      <code>GET /count</code>{' '}
      {after && (
        <span>
          last event ID: <b>{after}</b>
        </span>
      )}
      <p className="line">
        {isShortened && '…'}
        {messages.map((message) => (
          <code key={message.key}>{message === last ? <b>{message.data}</b> : message.data}</code>
        ))}
        <span data-end={end}>{end ?? 'still open'}</span>
      </p>
    </li>
  );
}
