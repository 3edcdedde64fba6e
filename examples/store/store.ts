import { inMemory } from './memory.ts';

export interface StoreOptions {
  /** Entries that each topic keeps, and up to 100 more in Redis. Default 1000. */
  maxLength?: number;
  /** A topic is forgotten this long after its last entry, ms. Default: never. */
  keptMs?: number;
}

/** What follows a topic: an event stream, or anything that takes its messages. */
export interface Reader {
  readonly signal: AbortSignal;
  ready(): Promise<void>;
  send(message: { event: string; data: string | number; id?: string | number }): void;
}

/** Histories that clients resume. Every method rejects while the store can't be reached. */
export interface Store {
  /** Whether the store can be reached. If not, answer 503: a client comes back. */
  isReady(): boolean;
  has(topic: string): Promise<boolean>;
  /** Appends the first entry of a topic. Resolves to `false` if it has one, also from another server. */
  create(topic: string, text: string, event?: string): Promise<boolean>;
  /** Appends an entry: the `data` of a message with this event, by default `entry`. */
  append(topic: string, text: string, event?: string): Promise<void>;
  /**
   * Sends what follows the last ID, until the reader's signal aborts. With `''`, all that the topic keeps.
   * When the history does not reach back to the ID, sends `reset` and all that the topic keeps.
   */
  follow(reader: Reader, topic: string, lastId: string): Promise<void>;
  close(): void;
}

/** A message in the store. Its ID is the store's, and a client resumes with it. */
export interface Entry {
  id: string;
  event: string;
  data: string;
}

/** Where entries are: in memory or in Redis. */
export interface Backend extends Pick<Store, 'isReady' | 'has' | 'close'> {
  add(topic: string, event: string, data: string, isFirst: boolean): Promise<boolean>;
  /** At most so many entries, from this one on; from the first one on if `id` is `''`. */
  page(topic: string, id: string, length: number): Promise<Entry[]>;
  /** Calls `listener` after each entry, most of the time. Resolves to what ends that. */
  listen(topic: string, listener: () => void): Promise<() => void>;
}

const PAGE_LENGTH = 50;
/** News can get lost, and entries can vanish, for example in a failover. So each reader looks this often. */
const POLL_MS = 2000;

/** Opens a store: in Redis if there is a `url`, by default `REDIS_URL`, and else in this process. */
export async function openStore(options: StoreOptions = {}, url = process.env['REDIS_URL']): Promise<Store> {
  const backend = url ? (await import('./redis.ts')).inRedis(url, options) : inMemory(options);
  const reads = new Map<string, Promise<Entry[]>>();
  return {
    ...backend,
    create: (topic, text, event = 'entry') => backend.add(topic, event, text, true),
    append: async (topic, text, event = 'entry') => void (await backend.add(topic, event, text, false)),
    follow,
  };

  async function follow(reader: Reader, topic: string, lastId: string): Promise<void> {
    let position = lastId;
    let hasNews = true;
    let wake: (() => void) | undefined;
    const look = (): void => {
      hasNews = true;
      reads.delete(`${topic} ${position}`); // it may have begun before the news
      wake?.();
    };
    const stop = await backend.listen(topic, look);
    const timer = setInterval(look, POLL_MS);
    reader.signal.addEventListener('abort', look);
    try {
      while (!reader.signal.aborted) {
        if (!hasNews) await new Promise<void>((resolve) => (wake = resolve));
        hasNews = false;
        const page = await read(topic, position);
        // A page begins with the entry that the last one ended with. If that has gone, so may others after it.
        const isGap = position !== '' && page[0]?.id !== position;
        if (isGap) reader.send({ event: 'reset', data: '' });
        if (isGap || page.length === PAGE_LENGTH) hasNews = true;
        for (const entry of isGap ? [] : page.slice(position === '' ? 0 : 1)) {
          reader.send(entry);
          position = entry.id;
          await reader.ready();
          if (reader.signal.aborted) return;
        }
        if (isGap) position = '';
      }
    } finally {
      clearInterval(timer);
      stop();
    }
  }

  /** Readers that are at the same place, and heard of the same entry, share a read. */
  function read(topic: string, position: string): Promise<Entry[]> {
    const key = `${topic} ${position}`;
    const shared = reads.get(key);
    if (shared) return shared;
    const page = backend
      .page(topic, position, PAGE_LENGTH)
      .finally(() => reads.get(key) === page && reads.delete(key));
    reads.set(key, page);
    return page;
  }
}
