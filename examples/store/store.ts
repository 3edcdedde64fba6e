import { inMemory } from './memory.ts';

export interface StoreOptions {
  /** Entries that each topic keeps, and up to 100 more in Redis. Default 1000. */
  maxLength?: number;
  /** A topic is forgotten this long after its last entry, ms. Default: never. */
  keptMs?: number;
}

/** A message in the store. Its ID is the store's, and a client resumes with it. */
export interface Entry {
  id?: string;
  event: string;
  data: string;
}

/** Histories that clients resume. Every method rejects while the store can't be reached. */
export interface Store {
  /** Whether the store can be reached. If not, answer 503: a client comes back. */
  isReady(): boolean;
  has(topic: string): Promise<boolean>;
  /**
   * Appends a message with this event, by default `entry`. If it is to be the first, nothing is appended to a topic
   * that has one, also from another server. Resolves to whether it was appended.
   */
  append(topic: string, data: string, event?: string, isFirst?: boolean): Promise<boolean>;
  /**
   * Yields what follows the last ID, until the signal aborts. With `''`, all that the topic keeps. When the
   * history does not reach back to the ID, yields `reset` and all that the topic keeps.
   */
  follow(topic: string, lastId: string, signal?: AbortSignal): AsyncGenerator<Entry>;
  close(): void;
}

/** Where entries are: in memory or in Redis. */
export interface Backend extends Omit<Store, 'follow'> {
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
  return { ...backend, follow };

  async function* follow(
    topic: string,
    lastId: string,
    signal = new AbortController().signal,
  ): AsyncGenerator<Entry> {
    let position = lastId;
    let hasNews = true;
    let wake: (() => void) | undefined;
    const look = (): void => {
      hasNews = true;
      wake?.();
    };
    const stop = await backend.listen(topic, look);
    const timer = setInterval(look, POLL_MS);
    signal.addEventListener('abort', look);
    try {
      while (!signal.aborted) {
        if (!hasNews) await new Promise<void>((resolve) => (wake = resolve));
        hasNews = false;
        const page = await backend.page(topic, position, PAGE_LENGTH);
        // A page begins with the entry that the last one ended with. If that has gone, so may others after it.
        const isGap = position !== '' && page[0]?.id !== position;
        if (isGap || page.length === PAGE_LENGTH) hasNews = true;
        if (isGap) yield { event: 'reset', data: '' };
        for (const entry of isGap ? [] : page.slice(position === '' ? 0 : 1)) {
          if (signal.aborted) return;
          yield entry;
          position = entry.id ?? '';
        }
        if (isGap) position = '';
      }
    } finally {
      clearInterval(timer);
      stop();
    }
  }
}
