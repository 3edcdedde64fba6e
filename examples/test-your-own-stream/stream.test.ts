import { once } from 'node:events';
import express from 'express';
import { expect, test } from 'vitest';
import { lastEventId, openEventStream } from '../../server/eventStream.ts';

const app = express(); // import yours instead
app.get('/numbers', (req, res) => {
  openEventStream(req, res, (stream) => {
    let n = Number(lastEventId(req));
    const timer = setInterval(() => stream.send({ id: ++n, data: n }), 10);
    return () => clearInterval(timer);
  });
});

test('a stream resumes after the last event ID', async () => {
  const text = await read('/numbers', { 'Last-Event-ID': '41' }, 'data: 43\n\n');
  expect(text).toMatch(/^retry: \d+\n\nid: 42\ndata: 42\n\nid: 43\ndata: 43\n\n$/);
});

/** Reads a stream until it has sent `last`, then leaves: supertest would wait for the end. */
async function read(path: string, headers: Record<string, string>, last: string): Promise<string> {
  const server = app.listen(0);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const { body } = await fetch(`http://localhost:${port}${path}`, { headers });
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.includes(last)) break; // cancels the request
  }
  server.close();
  return text;
}
