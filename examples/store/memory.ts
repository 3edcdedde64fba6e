import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Backend, Entry, StoreOptions } from './store.ts';

/** What entries in memory may take, roughly. Beyond it, the topic without news for longest is forgotten. */
const MAX_BYTES = 64 * 2 ** 20;
const bytesOf = (entry?: Entry): number => (entry ? 200 + 2 * entry.data.length : 0);

/** Entries in this process: a restart loses them. */
export function inMemory({ maxLength = 1000, keptMs = Infinity }: StoreOptions): Backend {
  const run = randomUUID().slice(0, 8); // part of each ID, because the numbers begin again after a restart
  const topics = new Map<string, { entries: Entry[]; touchedAt: number }>(); // in the order of their last entries
  const news = new EventEmitter().setMaxListeners(0);
  let number = 0;
  let bytes = 0;
  return {
    isReady: () => true,
    close: () => {},
    async has(topic) {
      forget();
      return topics.has(topic);
    },
    async append(topic, data, event = 'entry', isFirst = false) {
      forget();
      const entries = topics.get(topic)?.entries ?? [];
      if (isFirst && entries.length > 0) return false;
      const entry = { id: `${run}-${++number}`, event, data };
      bytes += bytesOf(entry);
      if (entries.push(entry) > maxLength) bytes -= bytesOf(entries.shift());
      topics.delete(topic);
      topics.set(topic, { entries, touchedAt: Date.now() });
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

  function forget(): void {
    for (const [name, { entries, touchedAt }] of topics) {
      if (bytes <= MAX_BYTES && Date.now() - touchedAt <= keptMs) return;
      for (const entry of entries) bytes -= bytesOf(entry);
      topics.delete(name);
    }
  }
}
