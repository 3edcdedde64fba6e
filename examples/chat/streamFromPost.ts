import { EventSourceParserStream } from 'eventsource-parser/stream';

/**
 * Yields the tokens of an answer straight from the response to the POST that asks for it. Throws if the answer
 * is not complete, or after `staleAfterMs` of silence, default 40,000. It does not reconnect: call it again
 * with the same URL and body, and the server sends the same answer from its beginning.
 */
export async function* streamFromPost(
  url: string,
  body: object,
  { signal, staleAfterMs = 40_000 }: { signal?: AbortSignal; staleAfterMs?: number } = {},
): AsyncGenerator<string> {
  const silence = new AbortController();
  const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' };
  let timer = setTimeout(stale, staleAfterMs);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    });
    if (!response.ok || !response.body) throw new Error(`expected an event stream, found ${response.status}`);
    const events = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    for (const reader = events.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) throw new Error('expected the end of the answer, found the end of the connection');
      clearTimeout(timer); // the server sends heartbeats: after silence it is gone
      timer = setTimeout(stale, staleAfterMs);
      if (value.event === 'token') yield JSON.parse(value.data);
      if (value.event !== 'ended') continue;
      if (value.data === 'complete') return;
      throw new Error(`expected a complete answer, found one that ${value.data}`);
    }
  } finally {
    clearTimeout(timer);
    silence.abort(); // when the caller has had enough, too
  }

  function stale(): void {
    silence.abort(new Error(`expected an event within ${staleAfterMs} ms, found none`));
  }
}
