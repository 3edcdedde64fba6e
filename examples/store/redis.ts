import { createClient, MultiErrorReply } from 'redis';
import type { Backend, StoreOptions } from './store.ts';

/** Entries in Redis Streams, and Redis' Pub/Sub to tell all servers of each. */
export function inRedis(url: string, { maxLength = 1000, keptMs }: StoreOptions): Backend {
  const redis = connect(url);
  const subscriber = connect(url); // a connection that subscribes can do nothing else
  return {
    isReady: () => redis.isReady && subscriber.isReady,
    close: () => [redis, subscriber].forEach((client) => client.destroy()),
    has: async (topic) => (await redis.exists(topic)) === 1,
    async append(topic, data, event = 'entry', isFirst = false) {
      const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: maxLength } as const;
      const commands = redis.multi().xAdd(topic, isFirst ? '0-1' : '*', { event, data }, { TRIM });
      if (keptMs !== undefined) commands.pExpire(topic, keptMs);
      try {
        await commands.publish(topic, '').exec();
        return true;
      } catch (error) {
        // 0-1 is the smallest ID, so it can only be the first.
        if (isFirst && error instanceof MultiErrorReply && error.errorIndexes[0] === 0) return false;
        throw error;
      }
    },
    async page(topic, from, length) {
      const reply = await redis.xRange(topic, from || '-', '+', { COUNT: length }).catch((error) => {
        if (String(error).includes('Invalid stream ID')) return []; // the client made it up
        throw error;
      });
      return (reply ?? []).map(({ id, message: { event = '', data = '' } }) => ({ id, event, data }));
    },
    async listen(topic, listener) {
      await subscriber.subscribe(topic, listener);
      return () => void subscriber.unsubscribe(topic, listener).catch(() => {}); // the connection is gone
    },
  };
}

/** Connects, and reconnects for ever. Commands are refused at once while there is no connection. */
function connect(url: string) {
  let reported = '';
  const client = createClient({
    url,
    disableOfflineQueue: true,
    pingInterval: 1000,
    // A connection that dies without a word is found by its silence. By default the client would then give up.
    socket: { socketTimeout: 3000, reconnectStrategy: (tries) => Math.min(2000, 100 * 2 ** tries) },
  });
  client.on('ready', () => (reported = ''));
  client.on('error', ({ message }: Error) => {
    if (message !== reported) console.error(`Redis: ${message}`);
    reported = message;
  });
  void client.connect();
  return client;
}
