import { setTimeout } from 'node:timers/promises';
import { setting } from '../serve.ts';

/** A question, and what was answered to it. */
export interface Turn {
  prompt: string;
  answer: string;
}

/** What a model gives: text, or the result of a tool that it called. */
export type Part = { token: string } | { tool: string; result: string };

const TOKEN_MS = setting('TOKEN_MS', 100);

/**
 * Yields an answer part by part. A real model goes here; most SDKs take a `signal`, and have an async iterable
 * to yield from. This one asks a tool for the time, and fails if the prompt contains “fail”.
 */
export async function* model(prompt: string, earlier: Turn[], signal: AbortSignal): AsyncGenerator<Part> {
  const before = earlier.map((turn) => `“${turn.prompt}”`).join(', then ');
  const answer = `You said:\n“${prompt}”\n${before && `Before that you said ${before}.\n`}
This answer is made up, but it arrives as a real one would: token by token.
Reload the page, open it in a second tab or stop the network for a while. You will see the same answer,
and all of it.`;
  for (const [n, token] of answer.split(/(?<=\s)/).entries()) {
    await setTimeout(TOKEN_MS, undefined, { signal });
    if (n === 2) yield { tool: 'clock', result: new Date().toLocaleTimeString() };
    if (n === 10 && prompt.includes('fail')) throw new Error('The model has failed.');
    yield { token };
  }
}
