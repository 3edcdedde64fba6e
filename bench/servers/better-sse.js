// https://matthewwid.github.io/better-sse/guides/getting-started/
import { createSession } from 'better-sse';
import express from 'express';

const app = express();

app.get('/count', async (req, res) => {
  const session = await createSession(req, res);
  let count = 0;
  const interval = setInterval(() => {
    count += 1;
    session.push(count, 'message', String(count));
  }, 1000);
  session.once('disconnected', () => clearInterval(interval));
});

const server = app.listen(0, () => console.log(`http://localhost:${server.address().port}`));
