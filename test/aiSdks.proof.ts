import { execSync } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { json, openEventStream } from '../server/eventStream.ts';
import { listen } from './support/testServer.ts';

// What AI SDKs read: each event is JSON, `[DONE]` is the last, and the model is silent for longer than a heartbeat.
const folder = join(import.meta.dirname, 'copy');
const packages = createRequire(join(folder, 'package.json'));
const TOKENS = ['Less', ' is', ' more', '.'];

beforeAll(() => void execSync('npm install --no-audit --no-fund --no-package-lock', { cwd: folder }));

/** A chat completion of OpenAI's API. Gives where it is served. */
async function serveCompletion(controlEvents: boolean): Promise<string> {
  const { port } = await listen(
    createServer((req, res) => {
      openEventStream(
        req,
        res,
        async (stream) => {
          const chunk = { id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm' };
          for (const content of TOKENS) {
            stream.send({
              data: json({ ...chunk, choices: [{ index: 0, delta: { content }, finish_reason: null }] }),
            });
            await sleep(50);
          }
          stream.send({
            data: json({ ...chunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
          });
          stream.send({ data: '[DONE]' });
        },
        { heartbeatMs: 10, controlEvents },
      );
    }),
  );
  return `http://127.0.0.1:${port}/v1`;
}

function load(name: string): Promise<Record<string, CallableFunction>> {
  return import(pathToFileURL(packages.resolve(name)).href);
}

interface Chunk {
  choices: { delta: { content?: string } }[];
}

const READERS: Record<string, (baseURL: string) => Promise<string[]>> = {
  async openai(baseURL) {
    const { OpenAI } = packages('openai');
    const { chat } = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
    const stream: AsyncIterable<Chunk> = await chat.completions.create({
      model: 'm',
      messages: [],
      stream: true,
    });
    const read: string[] = [];
    for await (const { choices } of stream) read.push(...choices.map(({ delta }) => delta.content ?? ''));
    return read.filter((text) => text !== '');
  },
  async ai(baseURL) {
    const [{ streamText }, { createOpenAI }] = await Promise.all([load('ai'), load('@ai-sdk/openai')]);
    const model: unknown = createOpenAI?.({ baseURL, apiKey: 'none' }).chat('m');
    let failure: unknown;
    const onError = ({ error }: { error: unknown }): void => void (failure = error);
    const stream: AsyncIterable<string> = streamText?.({
      model,
      prompt: 'Say',
      maxRetries: 0,
      onError,
    }).textStream;
    const read: string[] = [];
    for await (const text of stream) read.push(text);
    if (failure) throw failure;
    return read;
  },
};

test.each(Object.entries(READERS))(
  '%s reads a stream without control events to its end',
  async (_name, read) => {
    expect(await read(await serveCompletion(false))).toEqual(TOKENS);
  },
);

test.each(Object.entries(READERS))('%s fails on one with them', async (_name, read) => {
  await expect(read(await serveCompletion(true))).rejects.toThrow();
});
