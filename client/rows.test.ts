import { describe, expect, test } from 'vitest';
import { update, type Received } from './rows.ts';

type News = Parameters<typeof update>[1];

const nothing: Received = { lastEventId: '', rows: [] };
const open: News = { state: 'open' };
const lost: News = { state: 'reconnecting' };

function message(data: string, lastEventId: string): News {
  return { data, lastEventId };
}

function numbers(from: number, to: number): News[] {
  return Array.from({ length: to - from + 1 }, (_, i) => message(`${from + i}`, `${from + i}`));
}

function after(...news: News[]): Received {
  return news.reduce(update, nothing);
}

describe('update', () => {
  test('begins a row when a stream opens, after the last event ID of the one before', () => {
    expect(after(open, ...numbers(1, 2), lost, open, ...numbers(3, 3))).toEqual({
      lastEventId: '3',
      rows: [
        { key: 2, after: '2', messages: [{ key: 1, id: '3', data: '3' }] },
        {
          key: 1,
          after: '',
          messages: [
            { key: 1, id: '1', data: '1' },
            { key: 2, id: '2', data: '2' },
          ],
          end: 'connection lost',
        },
      ],
    });
  });

  test('begins the first row after an ID that was kept', () => {
    expect(update({ lastEventId: '9', rows: [] }, open).rows).toEqual([{ key: 1, after: '9', messages: [] }]);
  });

  test.each([
    ['cut', 'cut here'],
    ['reconnecting', 'connection lost'],
    ['connecting', 'connection lost'],
    ['paused', 'paused'],
    ['closed', 'closed'],
  ] as const)('ends an open row with %s: %s, whatever follows', (state, end) => {
    const received = after(open, { state });
    expect(received.rows).toEqual([{ key: 1, after: '', messages: [], end }]);
    for (const next of ['reconnecting', 'connecting', 'paused', 'closed'] as const) {
      expect(update(received, { state: next })).toBe(received);
    }
  });

  test('knows no row before a stream is open, as when StrictMode mounts twice or a request is refused', () => {
    expect(after({ state: 'connecting' }, { state: 'paused' }, { state: 'connecting' }, lost)).toBe(nothing);
    expect(after(message('1', '1'))).toEqual(nothing);
  });

  test('keeps the lines of a message, and the last event ID through one without an id', () => {
    const { lastEventId, rows } = after(open, message('1', '1'), message('12:00\nUTC', '1'));
    expect(lastEventId).toBe('1');
    expect(rows[0]?.messages[1]).toEqual({ key: 2, id: '', data: '12:00\nUTC' });
    const onNewSource = after(open, message('1', '1'), lost, open, message('2', ''));
    expect(onNewSource.lastEventId).toBe('1');
  });

  test('keeps the newest hundred messages, the last one of each row, and twenty rows', () => {
    const { rows } = after(
      open,
      ...numbers(1, 60),
      lost,
      open,
      ...numbers(61, 70),
      lost,
      open,
      ...numbers(71, 150),
    );
    expect(rows.map(({ messages }) => messages.length)).toEqual([80, 10, 10]);
    expect(rows[2]?.messages[0]).toMatchObject({ key: 51, data: '51' });
    const long = after(open, ...numbers(1, 5), lost, open, ...numbers(6, 150));
    expect(long.rows.map(({ messages }) => [messages.length, messages.at(-1)?.data])).toEqual([
      [100, '150'],
      [1, '5'],
    ]);
    expect(
      after(...Array.from({ length: 30 }, () => [open, lost]).flat()).rows.map(({ key }) => key),
    ).toEqual(Array.from({ length: 20 }, (_, i) => 30 - i));
  });
});
