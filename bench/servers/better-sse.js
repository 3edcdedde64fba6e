// https://matthewwid.github.io/better-sse/guides/getting-started/
import { createSession } from 'better-sse';
import express from 'express';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const app = express();

// oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Express 5 hands on what an async handler throws
app.get('/count', async (req, res) => {
  const session = await createSession(req, res);
  let count = 0;
  const interval = setInterval(() => {
    count += 1;
    session.push(count, 'message', String(count));
  }, TICK_MS);
  session.once('disconnected', () => clearInterval(interval));
});

const server = app.listen(PORT, () => console.log(`http://localhost:${server.address().port}`));
