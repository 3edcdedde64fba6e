import { lastEventId } from '../../../server/eventStream.ts';
import { eventStreamResponse } from '../eventStreamResponse.ts';

// The handler that each runtime serves to the proof. It knows only what all of them have.
const sources = { started: 0, open: 0, stoppedAt: 0 };

/** A number every 20 ms after the last event ID, or one and then silence, or one and then an error. */
export function numbers(request: Request): Response {
  const query = new URL(request.url).searchParams;
  const mode = query.get('mode');
  if (mode === 'sources') return Response.json(sources);
  return eventStreamResponse(
    request,
    (stream) => {
      sources.started += 1;
      sources.open += 1;
      let n = Number(lastEventId(request));
      let timer: ReturnType<typeof setInterval> | undefined;
      void begin();
      return () => {
        clearInterval(timer);
        sources.open -= 1;
        sources.stoppedAt = Date.now();
      };

      async function begin(): Promise<void> {
        await stream.ready();
        timer = setInterval(next, 20);
        next();
      }

      function next(): void {
        n += 1;
        if (mode === 'silent' && n > 1) clearInterval(timer);
        else if (mode === 'error' && n > 1) stream.send({ data: 'x', id: 'an error\n' });
        else stream.send({ id: n, data: n });
      }
    },
    { heartbeatMs: Number(query.get('heartbeatMs')) },
  );
}
