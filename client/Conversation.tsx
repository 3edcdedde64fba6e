import { memo, type ReactElement } from 'react';
import type { Entry } from './conversation.ts';
import { useFollowing } from './useFollowing.ts';

/** Requests, answers and messages as text, as far as a script can know them. */
export function Conversation({ entries }: { entries: readonly Entry[] }): ReactElement {
  const list = useFollowing<HTMLOListElement>();

  return (
    <section className="conversation">
      <h2 id="conversation">The conversation</h2>
      <ol ref={list} tabIndex={0} aria-labelledby="conversation">
        {entries.map((entry) => (
          <Row key={entry.key} entry={entry} />
        ))}
      </ol>
      <p>
        Rebuilt from what the page’s script is told. The bytes are in the browser’s network panel:{' '}
        <b>count</b>, then <b>EventStream</b>.
      </p>
    </section>
  );
}

/** Rendered once: the rows before it stay as they are when an entry comes. */
const Row = memo(function Row({ entry }: { entry: Entry }): ReactElement {
  return (
    <li data-kind={entry.kind}>
      {lines(entry).map(([text, note], i) => (
        <p key={i}>
          <code>{text}</code>
          {entry.isFirst && note && <small>{note}</small>}
          {i === 0 && !(entry.isFirst && note) && <time>{clock(entry.time)}</time>}
        </p>
      ))}
    </li>
  );
});

/** The lines of an entry, some with a note for the first of its kind. */
function lines(entry: Entry): [text: string, note?: string][] {
  switch (entry.kind) {
    case 'request': {
      const { path, header, lastEventId } = entry;
      const note = lastEventId === '' ? 'the page asks once' : `go on after ${lastEventId}`;
      const all: [string, string?][] = [[`→ GET ${path}`, note], ['Accept: text/event-stream']];
      return header === '' ? all : [...all, [`Last-Event-ID: ${header}`]];
    }
    case 'answer':
      return [['← 200', 'an answer without an end'], ['Content-Type: text/event-stream']];
    case 'message': {
      const shown = entry.event === '' ? 'what the page shows' : '';
      const all = entry.data
        .split('\n')
        .map((line, i): [string, string] => [`data: ${line}`, i === 0 ? shown : '']);
      if (entry.id !== '') all.unshift([`id: ${entry.id}`, 'the page keeps it as its place']);
      if (entry.event !== '') all.unshift([`event: ${entry.event}`, 'a name, for a handler of its own']);
      return entry.isFirst ? [...all, ['', 'a blank line ends the message']] : all;
    }
    case 'break':
      if (entry.state === 'paused') return [['✂ closed by the page', 'a pause needs no connection']];
      if (entry.state === 'reconnecting') return [['✂ connection lost', 'the page still has its place']];
      if (entry.status === undefined) return [['✂ finished', 'the server sent its last event']];
      return [[`← ${entry.status}`, 'a refusal: the page does not ask again']];
  }
}

/** Local time of day with milliseconds, such as 09:41:07.250. */
function clock(time: number): string {
  const at = new Date(time);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
