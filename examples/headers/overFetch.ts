import { createParser } from 'eventsource-parser';
import type { EventSourceClass, EventSourceLike } from '../../client/subscribe.ts';

/**
 * Returns a class for the option `EventSource` of `subscribe`: it reads the response to a request of your own,
 * with any method, headers and body. `send` is called for each attempt and should hand `signal` to `fetch`;
 * `url` carries `lastEventId` when there is one. An instance makes one request and never reconnects: that is
 * left to `subscribe`, which learns the status and `Retry-After` of a refusal from the response. An error that
 * `send` throws counts as a network failure. Set `credentials` in `send`: `withCredentials` has no effect.
 */
export function overFetch(send: (url: string, signal: AbortSignal) => Promise<Response>): EventSourceClass {
  return class extends EventTarget implements EventSourceLike {
    readyState = CONNECTING;
    readonly #controller = new AbortController();

    constructor(url: string) {
      super();
      queueMicrotask(() => void this.#run(url)); // the listeners come first, also if `send` throws at once
    }

    close(): void {
      this.readyState = CLOSED;
      this.#controller.abort();
    }

    async #run(url: string): Promise<void> {
      let response = Response.error(); // a network failure, until a server has refused
      try {
        const answer = await send(url, this.#controller.signal);
        if (isEventStream(answer)) await this.#read(answer.body);
        else response = answer;
      } catch {
        // A cut, `close`, or an error of `send`: the event tells of it.
      }
      if (this.readyState === CLOSED) return;
      this.close(); // the body of a refusal is not read: it would keep its connection
      this.dispatchEvent(Object.assign(new Event('error'), { response }));
    }

    async #read(body: ReadableStream<Uint8Array>): Promise<void> {
      let lastEventId = '';
      const parser = createParser({
        onEvent: ({ event = 'message', data, id = lastEventId }) => {
          lastEventId = id;
          // A handler may have closed it: the rest of the chunk is not for it.
          if (this.readyState === OPEN) this.dispatchEvent(new MessageEvent(event, { data, lastEventId }));
        },
      });
      if (this.readyState === CLOSED) return;
      this.readyState = OPEN;
      this.dispatchEvent(new Event('open'));
      const decoder = new TextDecoder();
      const reader = body.getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        parser.feed(decoder.decode(chunk.value, { stream: true }));
      }
    }
  };
}

/** `readyState` of an EventSource (HTML, 9.2.2). */
const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** Whether a response is to be read as a stream (HTML, 9.2.3). */
function isEventStream(response: Response): response is Response & { body: ReadableStream<Uint8Array> } {
  const type = response.headers.get('Content-Type') ?? '';
  return response.status === 200 && /^text\/event-stream\b/i.test(type);
}
