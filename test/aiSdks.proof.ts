import { execSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { json, openEventStream } from '../server/eventStream.ts';
import { listen } from './support/testServer.ts';

// What AI SDKs read: each event is JSON, `[DONE]` is the last, and the model is silent for longer than a heartbeat.
const folder = join(import.meta.dirname, 'copy');
const packages = createRequire(join(folder, 'package.json'));
const TOKENS = ['Less', ' is', ' more', '.'];

beforeAll(() => void execSync('npm install --no-audit --no-fund --no-package-lock', { cwd: folder }));

/** Serves a chat completion of OpenAI's API. Gives its base URL, and the model's name. */
async function serveCompletion(): Promise<{ baseURL: string; model: string }> {
  const { port } = await listen((req, res) =>
    openEventStream(
      req,
      res,
      async (stream) => {
        for (const content of TOKENS) {
          const choices = [{ index: 0, delta: { content }, finish_reason: content === '.' ? 'stop' : null }];
          stream.send({
            data: json({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm', choices }),
          });
          await sleep(50);
        }
        stream.send({ data: '[DONE]' });
      },
      { heartbeatMs: 10, controlEvents: false },
    ),
  );
  return { baseURL: `http://127.0.0.1:${port}/v1`, model: 'm' };
}

test('openai reads a stream without control events to its end', async () => {
  const { baseURL, model } = await serveCompletion();
  const { OpenAI } = packages('openai');
  const { chat } = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
  const chunks: AsyncIterable<{ choices: { delta: { content: string } }[] }> = await chat.completions.create({
    model,
    messages: [],
    stream: true,
  });
  const read: string[] = [];
  for await (const { choices } of chunks) read.push(...choices.map(({ delta }) => delta.content));
  expect(read).toEqual(TOKENS);
});

test('ai reads a stream without control events to its end', async () => {
  const { baseURL, model } = await serveCompletion();
  const { streamText } = packages('ai');
  const { createOpenAI } = packages('@ai-sdk/openai');
  const chat: unknown = createOpenAI({ baseURL, apiKey: 'none' }).chat(model);
  const errors: unknown[] = [];
  const onError = ({ error }: { error: unknown }): unknown => errors.push(error);
  const { textStream } = streamText({ model: chat, prompt: 'Say', maxRetries: 0, onError });
  const read: string[] = [];
  for await (const text of textStream) read.push(text);
  expect([read, errors]).toEqual([TOKENS, []]);
});
