import { lastEventId, type EventStream } from '../../../server/eventStream.ts';
import { eventStreamResponse } from '../eventStreamResponse.ts';

// The handler that each runtime serves to the proof. It knows only what all of them have.
const sources = { started: 0, open: 0, stoppedAt: 0, sent: 0 };

/** A number every 20 ms after the last event ID, or one and then silence, or one and then an error, or a flood. */
export function numbers(request: Request): Response {
  const query = new URL(request.url).searchParams;
  const mode = query.get('mode');
  if (mode === 'sources') return Response.json(sources);
  return eventStreamResponse(request, source, { heartbeatMs: Number(query.get('heartbeatMs')) });

  function source(stream: EventStream): () => void {
    sources.started += 1;
    sources.open += 1;
    let n = Number(lastEventId(request));
    const timer = setInterval(() => {
      n += 1;
      if (mode === 'error' && n > 1) stream.send({ data: 'x', id: 'an error\n' });
      else if (n === 1 || mode === null) stream.send({ id: n, data: n });
    }, 20);
    if (mode === 'floods') void flood(stream);
    return () => {
      clearInterval(timer);
      sources.open -= 1;
      sources.stoppedAt = Date.now();
    };
  }
}

async function flood(stream: EventStream): Promise<void> {
  sources.sent = 0;
  for (; !stream.signal.aborted; await stream.ready()) {
    stream.send({ data: 'x'.repeat(100_000) });
    sources.sent += 100_000;
  }
}
