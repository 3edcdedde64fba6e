import { randomUUID } from 'node:crypto';
import express from 'express';
import { json, lastEventId, openEventStream, type Json } from '../../server/eventStream.ts';
import type { EventStream, Message } from '../../server/eventStream.ts';
import { serve, setting } from '../serve.ts';

export interface Quotes {
  /** All prices: what a reader starts from. */
  snapshot: Json<Record<string, number>>;
  price: Json<{ name: string; price: number }>;
  /** Some messages were missed. A snapshot follows. */
  reset: '';
}

/** How many messages a reader may miss and still resume. */
const HISTORY_LENGTH = setting('HISTORY_LENGTH', 1000);
const MESSAGES_PER_SECOND = setting('MESSAGES_PER_SECOND', 20, 1000);

// Part of each ID: after a restart the numbers begin again, and an ID of the last run says nothing about this
// one.
const run = randomUUID().slice(0, 8);
const prices: Record<string, number> = { Espresso: 240, Mate: 310, Tea: 190 };
const history: Message<Quotes>[] = [];
const readers = new Set<EventStream<Quotes>>();
let published = 0;

export const app = express();

app.get('/quotes', (req, res) => {
  openEventStream<Quotes>(req, res, (stream) => {
    // Nothing can be published in between: all of this is one turn of the event loop.
    const id = lastEventId(req);
    const missed = missedSince(id);
    if (id !== '' && !missed) stream.send({ event: 'reset', data: '' });
    if (missed) for (const message of missed) stream.send(message);
    else stream.send({ event: 'snapshot', id: `${run}-${published}`, data: json(prices) });

    readers.add(stream);
    return () => readers.delete(stream);
  });
});

/** What was published after this ID; `undefined` if the history does not reach back to it. */
function missedSince(id: string): Message<Quotes>[] | undefined {
  const [, ofRun, number] = /^(\w+)-(\d+)$/.exec(id) ?? [];
  const missed = published - Number(number);
  if (ofRun !== run || missed < 0 || missed > history.length) return undefined;
  return history.slice(history.length - missed);
}

function publish(name: string, price: number): void {
  prices[name] = price;
  published += 1;
  const message = { event: 'price', id: `${run}-${published}`, data: json({ name, price }) } as const;
  history.push(message);
  if (history.length > HISTORY_LENGTH) history.shift();
  for (const stream of readers) stream.send(message);
}

setInterval(() => {
  const names = Object.keys(prices);
  const name = names[published % names.length] ?? '';
  publish(name, Math.max(1, (prices[name] ?? 0) + Math.floor(Math.random() * 5) - 2));
}, 1000 / MESSAGES_PER_SECOND);

serve(app, import.meta);
