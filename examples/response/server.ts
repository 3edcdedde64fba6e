import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { count } from '../../server/count.ts';
import { lastEventId, type EventStream } from '../../server/eventStream.ts';
import { serve, setting } from '../serve.ts';
import { eventStreamResponse } from './eventStreamResponse.ts';

// The counter, as in server/app.ts, on Hono: its handlers return a `Response`.
const NO_STREAM = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
const tickMs = setting('TICK_MS', 1000);
const streams = new Set<EventStream>();
export const app = new Hono();

app.get('/health', (c) => c.json({ status: 'ok', connections: streams.size }, 200, NO_STREAM));

app.use('/count', cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }));
app.get('/count', (c) => {
  const id = lastEventId(c.req.raw);
  const first = Number(id) + 1;
  if (!/^\d*$/.test(id) || !Number.isSafeInteger(first)) {
    const found = JSON.stringify(id.slice(0, 80));
    return c.text(`last event ID: expected a whole number below 2^53 - 1, found ${found}\n`, 400, NO_STREAM);
  }
  return eventStreamResponse(c.req.raw, (stream) => {
    const stop = count(first, tickMs, (n) => stream.send({ id: n, data: n }));
    streams.add(stream);
    return () => {
      stop();
      streams.delete(stream);
    };
  });
});
app.all('/count', (c) => {
  const line = `method: expected GET or HEAD, found "${c.req.method}"\n`;
  return c.text(line, 405, { ...NO_STREAM, Allow: 'GET, HEAD' });
});

serve(getRequestListener(app.fetch), import.meta);
