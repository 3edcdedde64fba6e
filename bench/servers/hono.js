// https://hono.dev/docs/helpers/streaming#streamsse
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const app = new Hono();

app.get('/count', (c) =>
  streamSSE(c, async (stream) => {
    let count = 0;
    while (!stream.aborted) {
      await stream.sleep(TICK_MS);
      count += 1;
      await stream.writeSSE({ id: String(count), data: String(count) });
    }
  }),
);

serve({ fetch: app.fetch, port: PORT }, (info) => console.log(`http://localhost:${info.port}`));
