import { setTimeout } from 'node:timers/promises';

const TOKEN_MS = Number(process.env['TOKEN_MS'] ?? 100);

/**
 * Yields an answer token by token. A real model goes here; most SDKs take a `signal`, and have an async
 * iterable to yield from. This one fails if the prompt contains “fail”.
 */
export async function* model(prompt: string, signal: AbortSignal): AsyncGenerator<string> {
  const answer = `You said:\n“${prompt}”\n\nThis answer is made up, but it arrives as a real one would: token by token.
Reload the page, open it in a second tab or stop the network for a while. You will see the same answer,
and all of it.`;
  for (const [n, token] of answer.split(/(?<=\s)/).entries()) {
    await setTimeout(TOKEN_MS, undefined, { signal });
    if (n === 10 && prompt.includes('fail')) throw new Error('The model has failed.');
    yield token;
  }
}
