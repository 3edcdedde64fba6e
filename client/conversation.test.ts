import { expect, test } from 'vitest';
import {
  begin,
  besideBreaks,
  ENTRIES_KEPT,
  resumption,
  stretchesOf,
  withMessage,
  withStatus,
  type Conversation,
} from './conversation.ts';
import type { Status } from './subscribe.ts';

type Step = Status['state'] | Status | [type: string, lastEventId: string, data?: string];

/** A conversation in which one step follows another, a second apart. */
function talk(start: Conversation, ...steps: Step[]): Conversation {
  return steps.reduce((before, step, second) => {
    if (Array.isArray(step)) {
      const [type, lastEventId, data = ''] = step;
      return withMessage(before, { type, lastEventId, data }, second * 1000);
    }
    return withStatus(before, statusOf(step), second * 1000);
  }, start);
}

function statusOf(step: Status['state'] | Status): Status {
  if (typeof step !== 'string') return step;
  return step === 'reconnecting' ? { state: step, attempt: 1 } : { state: step };
}

/** The entries in short. */
function told({ entries }: Conversation): string[] {
  return entries.map((entry) => {
    switch (entry.kind) {
      case 'request':
        return `GET ${entry.path} ${entry.header}`.trim();
      case 'message':
        return `${entry.event || 'message'} ${entry.id || '-'} ${entry.data}`.trim();
      case 'break':
        return `${entry.state} ${entry.status ?? ''}`.trim();
      default:
        return entry.kind;
    }
  });
}

const again: Status = { state: 'reconnecting', attempt: 1, dueAt: 5000 };

test('a conversation is a request, its answer and messages', () => {
  const conversation = talk(
    begin('/count', ''),
    'connecting',
    'open',
    ['message', '1', 'a'],
    ['message', '2', 'b'],
  );
  expect(told(conversation)).toEqual(['GET /count', 'answer', 'message 1 a', 'message 2 b']);
});

test('a message proves the answer that no status has told of yet', () => {
  expect(told(talk(begin('/count', ''), 'connecting', ['message', '1'], 'open'))).toEqual([
    'GET /count',
    'answer',
    'message 1',
  ]);
});

test('an unchanged or missing last event ID is shown as not sent, and the place is kept', () => {
  const conversation = talk(
    begin('/count', ''),
    'connecting',
    ['message', '1'],
    ['minute', '1', 'now'],
    again,
    ['minute', '', 'then'],
    ['message', '2'],
  );
  expect(told(conversation)).toEqual([
    'GET /count',
    'answer',
    'message 1',
    'minute - now',
    'reconnecting',
    'GET /count?lastEventId=1',
    'answer',
    'minute - then',
    'message 2',
  ]);
  expect(conversation.lastEventId).toBe('2');
});

test('keys run on, whatever the ids are', () => {
  const { entries } = talk(begin('/count', ''), 'connecting', ['a', '1'], ['a', '1'], again, ['a', '']);
  expect(entries.map(({ key }) => key)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the browser repeats its URL with a header, a new EventSource has the id in its query', () => {
  const conversation = talk(
    begin('/count', '3'),
    'connecting',
    ['message', '4'],
    'reconnecting',
    'open',
    ['message', '5'],
    again,
    { state: 'reconnecting', attempt: 1 },
    'open',
  );
  expect(told(conversation).filter((line) => line.startsWith('GET'))).toEqual([
    'GET /count?lastEventId=3',
    'GET /count?lastEventId=3 4',
    'GET /count?lastEventId=5',
  ]);
});

test.each([
  ['/count', '/count?lastEventId=a%26b'],
  ['/count?room=1', '/count?room=1&lastEventId=a%26b'],
])('the id is appended to the query of %s', (url, path) => {
  expect(told(talk(begin(url, 'a&b'), 'connecting'))).toEqual([`GET ${path}`]);
});

test('an outage is one break, however many attempts it takes', () => {
  const conversation = talk(
    begin('/count', ''),
    'connecting',
    'open',
    'reconnecting',
    again,
    'reconnecting',
    again,
  );
  expect(told(conversation)).toEqual(['GET /count', 'answer', 'reconnecting']);
});

test('a refusal says its status', () => {
  expect(told(talk(begin('/count', ''), 'connecting', { state: 'closed', status: 401 }))).toEqual([
    'GET /count',
    'closed 401',
  ]);
});

test('a request made again before its answer is told once, and a pause before the first is not', () => {
  expect(
    told(talk(begin('/count', ''), 'paused', 'connecting', 'connecting', 'paused', 'connecting')),
  ).toEqual(['GET /count']);
});

test('a connection that vanished without a word was lost when the next request is made', () => {
  expect(told(talk(begin('/count', ''), 'connecting', ['message', '1'], 'connecting'))).toEqual([
    'GET /count',
    'answer',
    'message 1',
    'reconnecting',
    'GET /count?lastEventId=1',
  ]);
});

test('only the newest entries are kept', () => {
  const steps = Array.from({ length: 2 * ENTRIES_KEPT }, (_, i): Step => ['message', String(i + 1)]);
  const { entries, nextKey } = talk(begin('/count', ''), ...steps);
  expect(entries).toHaveLength(ENTRIES_KEPT);
  expect(entries.at(-1)?.key).toBe(nextKey - 1);
});

test('the first of each kind is marked', () => {
  const { entries } = talk(
    begin('/count', ''),
    'connecting',
    ['message', '1'],
    ['message', '2'],
    ['minute', '2'],
    'paused',
    'connecting',
    'open',
    'paused',
    'connecting',
    'open',
    'reconnecting',
  );
  expect(entries.map(({ isFirst }) => isFirst)).toEqual([
    true,
    true,
    true,
    false,
    true,
    true,
    true,
    false,
    false,
    false,
    false,
    true,
  ]);
});

test.each([
  ['before the first answer', ['connecting'], undefined],
  ['of a first request', ['connecting', ['message', '1']], undefined],
  ['before a message with an id', ['connecting', ['message', '7'], again, 'open', ['minute', '']], undefined],
  [
    'after a cut',
    ['connecting', ['message', '7'], again, 'open', ['message', '8']],
    { after: '7', with: '8' },
  ],
] satisfies [string, Step[], unknown][])('the resumption %s', (_, steps, expected) => {
  expect(resumption(talk(begin('/count', ''), ...steps).entries)).toEqual(expected);
});

test('a reload resumes too', () => {
  expect(resumption(talk(begin('/count', '41'), 'connecting', ['message', '42']).entries)).toEqual({
    after: '41',
    with: '42',
  });
});

test('stretches with a connection and without take turns, and the last one lasts', () => {
  const { entries } = talk(
    begin('/count', ''),
    'connecting',
    'open',
    ['message', '1'],
    again,
    'paused',
    'open',
    'open',
  );
  expect(stretchesOf(entries)).toEqual([
    { key: 1, state: 'open', from: 1000, to: 3000, after: '' },
    { key: 3, state: 'paused', from: 3000, to: 5000, after: '1' },
    { key: 6, state: 'open', from: 5000, after: '1' },
  ]);
});

test('the ids beside breaks are those of the nearest messages that have one', () => {
  const { entries } = talk(
    begin('/count', ''),
    'connecting',
    ['message', '1'],
    ['message', '2'],
    ['minute', '2'],
    again,
    ['minute', ''],
    ['message', '3'],
    again,
    ['message', '4'],
    ['message', '5'],
    again,
  );
  expect(besideBreaks(entries).map(({ id, side }) => `${id} ${side}`)).toEqual([
    '2 before',
    '3 both',
    '4 after',
    '5 before',
  ]);
});

test('a page that wakes while the browser reconnects asks anew, with the id in the query', () => {
  const conversation = talk(
    begin('/count', ''),
    'connecting',
    'open',
    ['message', '5', 'a'],
    'reconnecting',
    'reconnecting',
    'open',
  );
  expect(told(conversation).slice(-2)).toEqual(['GET /count?lastEventId=5', 'answer']);
});
