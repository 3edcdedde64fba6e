import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../test/support/testServer.ts';

/** Asks for a path of runtimes/numbers.ts. */
export type Ask = (query: string, init?: RequestInit) => Promise<Response>;

/** Registers what a runtime must show that serves runtimes/numbers.ts. */
export function responseChecks(ask: Ask): void {
  const sources = async (): Promise<{ started: number; open: number }> => (await ask('?mode=sources')).json();

  test('counts, and resumes after a cut', async () => {
    const first = await read(ask, '', 3);
    expect(first.answer.headers.get('Content-Type')).toMatch(/^text\/event-stream\b/);
    expect(first.text).toMatch(/^retry: \d+\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n/);
    await first.leave();
    const second = await read(ask, '', 2, { headers: { 'Last-Event-ID': '3' } });
    expect(second.text).toMatch(/^retry: \d+\n\nid: 4\ndata: 4\n\nid: 5\ndata: 5\n\n/);
    const third = await read(ask, '?lastEventId=41', 1);
    expect(third.text).toMatch(/^retry: \d+\n\nid: 42\ndata: 42\n\n/);
  });

  test('starts one source a stream, and stops it when the client leaves, also in silence', async () => {
    await eventually(async () => (await sources()).open === 0);
    const { started } = await sources();
    const streams = [await read(ask, '?mode=silent', 1), await read(ask, '', 1)];
    expect(await sources()).toEqual({ started: started + 2, open: 2 });
    for (const { leave } of streams) await leave();
    await eventually(async () => (await sources()).open === 0);
    expect((await sources()).started).toBe(started + 2);
  });

  test('answers HEAD without a source', async () => {
    const { started } = await sources();
    const answer = await ask('', { method: 'HEAD' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Content-Type')).toMatch(/^text\/event-stream\b/);
    expect(answer.headers.get('Cache-Control')).toBe('no-cache, no-transform');
    expect(answer.headers.get('X-Accel-Buffering')).toBe('no');
    expect(await answer.text()).toBe('');
    expect((await sources()).started).toBe(started);
  });

  test('cuts the response at an error', async () => {
    const answer = await ask('?mode=error');
    await expect(answer.text()).rejects.toThrow();
    await eventually(async () => (await sources()).open === 0);
  });

  test('sends a heartbeat after a silence', async () => {
    const { text } = await read(ask, '?mode=silent', 2);
    expect(text).toMatch(/^retry: \d+\n\nid: 1\ndata: 1\n\nevent: heartbeat\ndata: \n\n$/);
  });
}

/** Asks, and reads until this many messages have come. Leaves at the latest when the test has finished. */
async function read(
  ask: Ask,
  query: string,
  messages: number,
  init: RequestInit = {},
): Promise<{ answer: Response; text: string; leave(): Promise<void> }> {
  const answer = await ask(query, init);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const leave = (): Promise<void> => reader.cancel();
  onTestFinished(leave);
  const decoder = new TextDecoder();
  let text = '';
  while (text.split('\n\n').length < messages + 2) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`expected ${messages} messages, found the end after ${JSON.stringify(text)}`);
    text += decoder.decode(value, { stream: true });
  }
  return { answer, text, leave };
}
