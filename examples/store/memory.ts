import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Backend, Entry, StoreOptions } from './store.ts';

/** What entries in memory may take, roughly. Beyond it, the topic without news for longest is forgotten. */
const MAX_BYTES = 64 * 2 ** 20;

/** Entries in this process: a restart loses them. */
export function inMemory({ maxLength = 1000, keptMs = Infinity }: StoreOptions): Backend {
  const run = randomUUID().slice(0, 8); // part of each ID, because the numbers begin again after a restart
  const topics = new Map<string, { entries: Entry[]; bytes: number; touchedAt: number }>();
  const news = new EventEmitter().setMaxListeners(0);
  let number = 0;
  let bytes = 0;
  return {
    isReady: () => true,
    close: () => {},
    has: async (topic) => forget() && topics.has(topic),
    async add(topic, event, data, isFirst) {
      forget();
      const known = topics.get(topic) ?? { entries: [], bytes: 0, touchedAt: 0 };
      if (isFirst && known.entries.length > 0) return false;
      topics.delete(topic);
      topics.set(topic, known); // in the order of their last entries
      known.touchedAt = Date.now();
      known.entries.push({ id: `${run}-${++number}`, event, data });
      count(known, data, 1);
      if (known.entries.length > maxLength) count(known, known.entries.shift()?.data ?? '', -1);
      news.emit(topic);
      return true;
    },
    async page(topic, id, length) {
      const entries = topics.get(topic)?.entries ?? [];
      const from = id === '' ? 0 : entries.findIndex((entry) => entry.id === id);
      return from === -1 ? [] : entries.slice(from, from + length);
    },
    async listen(topic, listener) {
      news.on(topic, listener);
      return () => news.off(topic, listener);
    },
  };

  function count(topic: { bytes: number }, data: string, sign: 1 | -1): void {
    const size = sign * (200 + 2 * data.length);
    topic.bytes += size;
    bytes += size;
  }

  function forget(): true {
    for (const [name, topic] of topics) {
      if (bytes <= MAX_BYTES && Date.now() - topic.touchedAt <= keptMs) break;
      bytes -= topic.bytes;
      topics.delete(name);
    }
    return true;
  }
}
