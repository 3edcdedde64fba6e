import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { EventSourceParserStream, type EventSourceMessage } from 'eventsource-parser/stream';
import type { Express } from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { app } from '../chat/server.ts'; // or yours

test('an answer resumes after the last event ID', async () => {
  const url = `${await listen(app)}/chats/an-answer-to-test`;
  const headers = { 'Content-Type': 'application/json' };
  const asked = await fetch(url, { method: 'PUT', headers, body: JSON.stringify({ prompt: 'Hello' }) });
  expect(asked.status).toBe(201);
  const Cookie = asked.headers.get('set-cookie')?.split(';')[0] ?? '';

  const messages = await read(url, { Cookie }, 6);
  expect(messages.map(({ event }) => event).join(' ')).toBe('question token token tool token token');
  const rest = await read(url, { Cookie, 'Last-Event-ID': messages[2]?.id ?? '' }, 3);
  expect(rest).toEqual(messages.slice(3));
});

/** Serves until the test has finished. */
async function listen(server: Express): Promise<string> {
  const listening = server.listen(0);
  onTestFinished(() => listening.closeAllConnections());
  onTestFinished(() => void listening.close());
  await once(listening, 'listening');
  return `http://localhost:${(listening.address() as AddressInfo).port}`;
}

/** The first `count` messages of a stream, or what came within 5 s: supertest would wait for its end. */
async function read(url: string, headers: HeadersInit, count: number): Promise<EventSourceMessage[]> {
  const messages: EventSourceMessage[] = [];
  const { body } = await fetch(url, { headers, signal: AbortSignal.timeout(5000) });
  const events = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  try {
    for await (const message of events ?? []) if (messages.push(message) === count) break;
  } catch {
    // Time is up: the comparison shows what is missing.
  }
  return messages;
}
