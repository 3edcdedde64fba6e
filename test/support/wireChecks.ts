import { describe, expect, onTestFinished, test } from 'vitest';

/**
 * Registers the checks of the wire contract of `/count`: what a client sees of a server, whichever it is. The
 * server counts from 1 on, a number at least each second, and its origin is asked for when a test runs.
 */
export function wireChecks(origin: () => string): void {
  /** Asks for `/count`. The stream is left when the test has finished. */
  function ask(query = '', init: RequestInit = {}): Promise<Response> {
    const controller = new AbortController();
    onTestFinished(() => controller.abort());
    return fetch(`${origin()}/count${query}`, { ...init, signal: controller.signal });
  }

  describe('on the wire', () => {
    test('a stream says what it is, and that nobody may hold it back', async () => {
      const { status, headers } = await ask();
      expect(status).toBe(200);
      expect(headers.get('Content-Type')).toBe('text/event-stream');
      expect(headers.get('Cache-Control')).toBe('no-cache, no-transform');
      expect(headers.get('X-Accel-Buffering')).toBe('no');
      expect(headers.get('Access-Control-Allow-Origin')).toBe('*');
    });

    test('a reconnection time comes first, of its own for each connection, and then the numbers', async () => {
      const texts = await Promise.all(Array.from({ length: 10 }, async () => read(await ask(), 2)));
      const delays = texts.map((text) => {
        const frames = /^retry: (\d+)\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\n/.exec(text);
        return Number(frames?.[1]);
      });
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(500);
      expect(Math.max(...delays)).toBeLessThanOrEqual(1500);
      expect(new Set(delays).size).toBeGreaterThan(5);
    });

    test.each([
      ['the header', '', '41', 42],
      ['the query', '?lastEventId=41', undefined, 42],
      ['the header rather than the query', '?lastEventId=7', '41', 42],
      ['0', '?lastEventId=0', undefined, 1],
      ['an empty query', '?lastEventId=', undefined, 1],
      ['the largest id', '?lastEventId=9007199254740990', undefined, 9007199254740991],
    ])('it goes on after %s', async (_what, query, header, next) => {
      const answer = await ask(query, { headers: header === undefined ? {} : { 'Last-Event-ID': header } });
      expect(await read(answer, 1)).toMatch(new RegExp(`^retry: \\d+\n\nid: ${next}\ndata: ${next}\n\n`));
    });

    test.each(['-1', '1.5', 'abc', '1e3', '0x10', ' ', '٣', '1,2', '9007199254740991', '9'.repeat(400)])(
      'the last event ID %j gets 400 and one line that says why',
      async (id) => {
        const answer = await ask(`?lastEventId=${encodeURIComponent(id)}`);
        expect(answer.status).toBe(400);
        expect(answer.headers.get('Cache-Control')).toBe('no-store');
        expect(await answer.text()).toMatch(/^last event ID: expected .*, found .*\n$/);
      },
    );

    test('HEAD gets the headers of the stream, and ends', async () => {
      const answer = await ask('', { method: 'HEAD' });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('Content-Type')).toBe('text/event-stream');
      expect(await answer.text()).toBe('');
    });

    test.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
      '%s gets 405, and the methods that there are',
      async (method) => {
        const answer = await ask('', { method });
        expect(answer.status).toBe(405);
        expect(answer.headers.get('Allow')).toBe('GET, HEAD');
      },
    );

    test('/health says ok, and how many streams are open', async () => {
      const { status, headers } = await fetch(`${origin()}/health`);
      expect(status).toBe(200);
      expect(headers.get('Cache-Control')).toBe('no-store');
      await read(await ask(), 1);
      await expect
        .poll(async () => (await fetch(`${origin()}/health`)).text(), { timeout: 20_000 })
        .toBe('{"status":"ok","connections":1}');
    });
  });
}

/** What comes until this many numbers have. */
export async function read(answer: Response, numbers: number): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of answer.body?.values({ preventCancel: true }) ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split('\n\n').length > numbers + 1) return text;
  }
  throw new Error(`expected ${numbers} numbers, found the end after ${JSON.stringify(text)}`);
}
