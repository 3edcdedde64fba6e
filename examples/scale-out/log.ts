import { setTimeout } from 'node:timers/promises';
import { createClient } from 'redis';
import { json, type EventStream, type Json } from '../../server/eventStream.ts';

export interface LogEvents {
  /** The newest entries: what a reader starts from. Its ID is that of the last of them. */
  snapshot: Json<string[]>;
  entry: string;
  /** Some entries were missed. A snapshot follows. */
  reset: '';
}

export interface Log {
  append(text: string): Promise<void>;
  /** Feeds a stream with what follows this ID, until its client leaves. `''` is a newcomer's. */
  follow(stream: EventStream<LogEvents>, lastId: string): Promise<void>;
}

interface Entry {
  id: string;
  text: string;
}

const KEY = 'log';
const SNAPSHOT_LENGTH = 20;
const PAGE_LENGTH = 100;

/** Opens the log in Redis that all servers share. It keeps `maxLength` entries, and up to 100 more. */
export async function openLog(url: string, maxLength: number): Promise<Log> {
  // A connection that dies without a word is found by its silence.
  const options = { url, pingInterval: 5000, socket: { socketTimeout: 12_000 } };
  const redis = createClient(options).on('error', report);
  const blocking = createClient(options).on('error', report); // what follows a blocking XREAD waits for it
  await Promise.all([redis.connect(), blocking.connect()]);

  const readers = new Map<EventStream<LogEvents>, (entry: Entry) => void>();
  let last = (await newest()).at(-1)?.id ?? '';
  void read();
  return { append, follow };

  async function append(text: string): Promise<void> {
    const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: maxLength } as const;
    await redis.xAdd(KEY, '*', { text }, { TRIM });
  }

  async function follow(stream: EventStream<LogEvents>, lastId: string): Promise<void> {
    let position = lastId === '' ? await sendSnapshot() : lastId;
    do {
      // A page begins with the entry that the last one ended with. If that has been trimmed, so may others
      // after it.
      const [first, ...entries] = await page(position);
      if (first?.id === position) {
        for (const entry of entries) send(entry);
      } else {
        stream.send({ event: 'reset', data: '' });
        position = await sendSnapshot();
      }
      await stream.ready();
      if (stream.signal.aborted) return;
    } while (isAfter(last, position));

    // The hand-over leaves no gap: nothing is awaited between the comparison with `last` and this line.
    readers.set(stream, send);
    await new Promise((resolve) => stream.signal.addEventListener('abort', resolve));
    readers.delete(stream);

    function send({ id, text }: Entry): void {
      if (!isAfter(id, position)) return; // the last page went beyond `last`
      position = id;
      stream.send({ event: 'entry', id, data: text });
    }

    async function sendSnapshot(): Promise<string> {
      const entries = await newest();
      const id = entries.at(-1)?.id ?? '';
      stream.send({ event: 'snapshot', id, data: json(entries.map(({ text }) => text)) });
      return id;
    }
  }

  /** Reads for all streams of this process. */
  async function read(): Promise<never> {
    for (;;) {
      try {
        await readOnce();
      } catch (error) {
        report(error);
        await setTimeout(1000);
      }
    }
  }

  async function readOnce(): Promise<void> {
    const reply = await blocking.xRead({ key: KEY, id: last }, { BLOCK: 5000, COUNT: PAGE_LENGTH });
    const entries = toEntries(reply?.[0]?.messages);
    if (entries.length === 0) return;
    const [place] = await page(last);
    const isComplete = place?.id === last;
    for (const entry of entries) {
      last = entry.id;
      if (isComplete) for (const send of readers.values()) send(entry);
    }
    // This reader has missed entries. Its streams come back with their own IDs, and get what there is.
    if (!isComplete) for (const stream of readers.keys()) stream.reconnectAfter(Math.random() * 1000);
  }

  async function newest(): Promise<Entry[]> {
    const reply = await redis.xRevRange(KEY, '+', '-', { COUNT: SNAPSHOT_LENGTH });
    const entries = toEntries(reply).toReversed();
    if (entries.length > 0) return entries;
    // Never empty: who leaves before the first entry has an ID to come back with.
    await append('The log begins.');
    return newest();
  }

  /** Entries from this one on; none if it is no ID. */
  async function page(id: string): Promise<Entry[]> {
    if (!ID.test(id)) return [];
    return toEntries(await redis.xRange(KEY, id, '+', { COUNT: PAGE_LENGTH }));
  }
}

/** Milliseconds and a number within them. */
const ID = /^(\d{1,15})-(\d{1,15})$/;

function isAfter(a: string, b: string): boolean {
  const [, aTime, aNumber] = ID.exec(a) ?? [];
  const [, bTime, bNumber] = ID.exec(b) ?? [];
  return Number(aTime) > Number(bTime) || (aTime === bTime && Number(aNumber) > Number(bNumber));
}

type Messages = { id: string; message: Record<string, string> }[];

function toEntries(messages: Messages | null | undefined): Entry[] {
  return (messages ?? []).map(({ id, message }) => ({ id, text: message['text'] ?? '' }));
}

function report(error: unknown): void {
  console.error(error instanceof Error ? error.message : error);
}
