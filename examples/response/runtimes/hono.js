import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { numbers } from './numbers.ts';

const app = new Hono().get('/', (c) => numbers(c.req.raw));
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`http://127.0.0.1:${port}`),
);
