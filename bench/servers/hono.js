// https://hono.dev/docs/helpers/streaming#streamsse
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';

const app = new Hono();

app.get('/count', (c) =>
  streamSSE(c, async (stream) => {
    let count = 0;
    while (!stream.aborted) {
      await stream.sleep(1000);
      count += 1;
      await stream.writeSSE({ id: String(count), data: String(count) });
    }
  }),
);

serve({ fetch: app.fetch, port: 0 }, (info) => console.log(`http://localhost:${info.port}`));
