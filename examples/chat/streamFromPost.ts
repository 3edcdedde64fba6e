import { EventSourceParserStream } from 'eventsource-parser/stream';

/**
 * Yields an answer straight from the response to a POST. Shorter than a chat with an ID, but nothing brings
 * back what a cut takes: use it where the client can ask again. Throws if the answer is not complete.
 */
export async function* streamFromPost(
  url: string,
  prompt: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ prompt }), signal });
  if (!response.ok || !response.body) throw new Error(`expected an event stream, found ${response.status}`);
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  const reader = events.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (next.value.event === 'token') yield JSON.parse(next.value.data);
      if (next.value.event === 'ended') return;
    }
  } finally {
    await reader.cancel(); // when the caller has had enough, too
  }
  throw new Error('expected the end of the answer, found the end of the connection');
}
