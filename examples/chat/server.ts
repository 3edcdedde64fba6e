import { randomUUID } from 'node:crypto';
import express, { type NextFunction, type Request, type Response } from 'express';
import {
  json,
  lastEventId,
  openEventStream,
  type EventStream,
  type Json,
  type Message,
} from '../../server/eventStream.ts';
import { serve } from '../serve.ts';
import { model } from './model.ts';

export interface AnswerEvents {
  /** JSON, because tokens begin and end with spaces and line ends. */
  token: Json<string>;
  /** How the answer ended. An answer without it is not complete. */
  ended: 'complete' | 'stopped' | 'failed';
}

interface Answer {
  messages: Message<AnswerEvents>[];
  readers: Set<EventStream<AnswerEvents>>;
  model: AbortController;
  hasEnded: boolean;
  timer?: NodeJS.Timeout;
}

/** The model is stopped when nobody has read its answer for this time. */
const GRACE_MS = Number(process.env['GRACE_MS'] ?? 10_000);
/** An answer that has ended is kept for this time after its last reader has left. */
const KEPT_MS = 600_000;

const answers = new Map<string, Answer>();
const app = express();

app.post('/chats', express.json(), checkPrompt, (req, res) => {
  const id = randomUUID();
  const answer: Answer = { messages: [], readers: new Set(), model: new AbortController(), hasEnded: false };
  answers.set(id, answer);
  void run(answer, req.body.prompt);
  startTimer(id, answer);
  res.status(201).location(`/chats/${id}`).json({ id });
});

app.get('/chats/:id', (req, res) => {
  const { id } = req.params;
  const answer = answers.get(id);
  if (!answer) return void res.status(404).send('chat: expected one that is kept, found none\n');
  openEventStream<AnswerEvents>(req, res, (stream) => {
    const seen = Number(lastEventId(req)) || 0;
    for (const message of answer.messages.slice(seen)) stream.send(message);
    if (answer.hasEnded) stream.finish();
    answer.readers.add(stream);
    clearTimeout(answer.timer);
    return () => {
      answer.readers.delete(stream);
      if (answer.readers.size === 0) startTimer(id, answer);
    };
  });
});

app.delete('/chats/:id', (req, res) => {
  answers.get(req.params.id)?.model.abort();
  res.sendStatus(204);
});

// For a client that streams from this POST: see streamFromPost.ts. What is lost on the way can't be asked for
// again.
app.post('/answers', express.json(), checkPrompt, (req, res) => {
  openEventStream<AnswerEvents>(req, res, async (stream) => {
    for await (const token of model(req.body.prompt, stream.signal)) {
      stream.send({ event: 'token', data: json(token) });
    }
    stream.send({ event: 'ended', data: 'complete' });
  });
});

function checkPrompt(req: Request, res: Response, next: NextFunction): void {
  if (typeof req.body?.prompt === 'string') next();
  else res.status(400).send('prompt: expected text, found none\n');
}

/** Runs the model to its end, whether or not somebody reads along. */
async function run(answer: Answer, prompt: string): Promise<void> {
  const { signal } = answer.model;
  try {
    for await (const token of model(prompt, signal)) publish(answer, { event: 'token', data: json(token) });
    publish(answer, { event: 'ended', data: 'complete' });
  } catch (error) {
    if (!signal.aborted) console.error(error);
    publish(answer, { event: 'ended', data: signal.aborted ? 'stopped' : 'failed' });
  }
  answer.hasEnded = true;
  for (const stream of answer.readers) stream.finish();
}

function publish({ messages, readers }: Answer, content: Message<AnswerEvents>): void {
  const message = { ...content, id: messages.length + 1 };
  messages.push(message);
  for (const stream of readers) stream.send(message);
}

/** Nobody reads: stops the model, or forgets its answer. */
function startTimer(id: string, answer: Answer): void {
  clearTimeout(answer.timer);
  answer.timer = setTimeout(
    () => {
      answer.model.abort();
      answer.timer = setTimeout(() => answers.delete(id), KEPT_MS);
    },
    answer.hasEnded ? 0 : GRACE_MS,
  );
}

serve(app, import.meta.dirname);
