import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ServerProcess } from '../../test/support/processes.ts';
import { eventually } from '../../test/support/testServer.ts';
import { read } from '../../test/support/wireChecks.ts';

/** Asks for a path of runtimes/numbers.ts. */
export type Ask = (query: string, init?: RequestInit) => Promise<Response>;

/**
 * Registers what a runtime must show that serves runtimes/numbers.ts. One that notices only at the next write
 * that a client has left needs a heartbeat, in ms; by default there is none within the test.
 */
export function responseChecks(ask: Ask, heartbeatMs = 600_000): void {
  const sources = async (): Promise<{ started: number; open: number; stoppedAt: number; sent: number }> =>
    (await ask('?mode=sources')).json();

  /** Asks for a stream, which is left at the latest when the test has finished. */
  const follow = async (query: string, init?: RequestInit): Promise<Response> => {
    const answer = await ask(query, init);
    onTestFinished(() => answer.body?.cancel());
    return answer;
  };

  test.each<[string, string, RequestInit, number]>([
    ['counts', '', {}, 1],
    ['resumes by the header', '', { headers: { 'Last-Event-ID': '3' } }, 4],
    ['resumes by the query', '?lastEventId=41', {}, 42],
  ])('%s', async (_what, query, init, n) => {
    const text = await read(await follow(query, init), 2);
    expect(text.replace(/^retry: \d+/, '')).toMatch(
      `\n\nid: ${n}\ndata: ${n}\n\nid: ${n + 1}\ndata: ${n + 1}\n\n`,
    );
  });

  test.each(['', 'mode=silent'])(
    'starts one source, and stops it within 2 s of a leave: %s',
    async (mode) => {
      await eventually(async () => (await sources()).open === 0);
      const { started } = await sources();
      const answer = await follow(`?heartbeatMs=${heartbeatMs}&${mode}`);
      await read(answer, 1);
      expect(await sources()).toMatchObject({ started: started + 1, open: 1 });
      const leftAt = Date.now();
      await answer.body?.cancel();
      await eventually(async () => (await sources()).open === 0);
      const after = await sources();
      expect(after.started).toBe(started + 1);
      expect(after.stoppedAt - leftAt).toBeLessThan(2000);
    },
  );

  test('sends a client that does not read no more than there is room for', async () => {
    await eventually(async () => (await sources()).open === 0);
    await read(await follow(`?mode=floods&heartbeatMs=${heartbeatMs}`), 1);
    await eventually(async () => {
      const { sent } = await sources();
      await setTimeout(500);
      return sent === (await sources()).sent;
    });
    const { open, sent } = await sources();
    expect(open).toBe(1); // it waits: it was not cut for its backlog
    expect(sent).toBeLessThan(50_000_000); // the system's buffers
  });

  test('answers HEAD without a source', async () => {
    const { started } = await sources();
    const { status, headers, body } = await ask('', { method: 'HEAD' });
    expect([status, body]).toEqual([200, null]);
    expect(headers.get('Content-Type')).toMatch(/^text\/event-stream\b/);
    expect(headers.get('Cache-Control')).toBe('no-cache, no-transform');
    expect(headers.get('X-Accel-Buffering')).toBe('no');
    expect((await sources()).started).toBe(started);
  });

  test('cuts the response at an error', async () => {
    const answer = await ask('?mode=error');
    await expect(answer.text()).rejects.toThrow();
    await eventually(async () => (await sources()).open === 0);
  });
}

/** Starts a server of runtimes/numbers.ts at `path`, and registers what it must show. */
export function serves(
  name: string,
  path: string,
  start: () => Promise<ServerProcess>,
  heartbeatMs?: number,
): void {
  describe(name, () => {
    let server: ServerProcess | undefined;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server?.stop());
    const ask: Ask = (query, init) => fetch(`http://127.0.0.1:${server?.port}${path}${query}`, init);
    responseChecks(ask, heartbeatMs);
  });
}
