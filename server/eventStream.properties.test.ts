import * as fc from 'fast-check';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { describe, expect, test } from 'vitest';
import { formatMessage, openEventStream, type Message } from './eventStream.ts';
import { body, request } from '../test/support/rawHttp.ts';
import { listen } from '../test/support/testServer.ts';

/** What has a meaning in the format or on the way, or is more than one byte or code unit long. */
const DELICATE = [...'\r\n\0\uFEFF :𝄞', '\uD834', '\uDD1E', '\r\n', '\n\n', 'data: x', 'id', '$&'];

const text = fc
  .array(fc.oneof(fc.constantFrom(...DELICATE), fc.string({ unit: 'binary' })))
  .map((parts) => parts.join(''));
const oneLine = text.filter((value) => value !== '' && !/\p{Cc}|^ | $/u.test(value));
const message: fc.Arbitrary<Message> = fc.record(
  {
    data: fc.oneof(text, fc.integer(), fc.double()),
    id: fc.oneof(oneLine, fc.integer()),
    event: oneLine,
  },
  { requiredKeys: ['data'] },
);
const several = fc.array(message, { minLength: 1, maxLength: 5 });

/** What a client makes of a text: lines end with LF, and half of a surrogate pair has no UTF-8. */
function asRead(value: string | number): string {
  return Buffer.from(String(value).replaceAll(/\r\n?/g, '\n')).toString();
}

/** What a client makes of a message. */
function received({ data, id, event }: Message): EventSourceMessage {
  return {
    data: asRead(data),
    id: id === undefined ? undefined : asRead(id),
    event: event === undefined ? undefined : asRead(event),
  };
}

/** Reads the bytes of an event stream as an independent client does, however they are cut. */
function read(chunks: Iterable<Uint8Array>): EventSourceMessage[] {
  const decoder = new TextDecoder();
  const messages: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: ({ data, id, event }) => messages.push({ data, id, event }),
    onError(error) {
      throw error;
    },
  });
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }));
  return messages;
}

/** Cuts bytes into chunks of these sizes, again and again. */
function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let i = 0, from = 0; from < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(from, from + size);
    from += size;
  }
}

describe('any messages', () => {
  test('are read as they were sent, cut at any byte', () => {
    const anySizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(several, anySizes, (sent, sizes) => {
        const bytes = Buffer.from(sent.map(formatMessage).join(''));
        expect(read(cut(bytes, sizes))).toEqual(sent.map(received));
      }),
      { numRuns: 500 },
    );
  });

  test('are read as they were sent over a socket', async () => {
    const sent = fc.sample(message, 500);
    const server = await listen((req, res) =>
      openEventStream(req, res, (stream) => {
        let timer = setImmediate(function send(i = 0) {
          for (const one of sent.slice(i, i + 50)) {
            stream.comment(String(one.data));
            stream.send(one);
          }
          if (i < sent.length) timer = setImmediate(send, i + 50);
          else stream.finish();
        });
        return () => clearImmediate(timer);
      }),
    );
    const client = server.send(request('GET', '/', 'Connection: close'));
    const bytes = Buffer.from(body(await client.closed));
    expect(read([bytes])).toEqual([...sent, { event: 'end', data: '' }].map(received));
  });
});
