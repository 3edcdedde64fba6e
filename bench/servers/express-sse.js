// https://www.npmjs.com/package/express-sse: an instance speaks to all who asked it, so each connection has its own.
import express from 'express';
import SSE from 'express-sse';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const app = express();

app.get('/count', (req, res) => {
  const sse = new SSE();
  sse.init(req, res);
  let count = 0;
  const interval = setInterval(() => {
    count += 1;
    sse.send(count, undefined, count);
  }, TICK_MS);
  res.on('close', () => clearInterval(interval));
});

const server = app.listen(PORT, () => console.log(`http://localhost:${server.address().port}`));
