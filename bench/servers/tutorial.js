// What tutorials show: Express, cors, an interval per connection, and `write` on the response. The id is
// added: every server here sends the same two fields.
import cors from 'cors';
import express from 'express';

const TICK_MS = Number(process.env.TICK_MS ?? 1000);
const PORT = Number(process.env.PORT ?? 0);

const app = express();
app.use(cors());

app.get('/count', (request, response) => {
  response.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache',
    Connection: 'keep-alive',
  });
  let count = 0;
  const interval = setInterval(() => {
    count += 1;
    response.write(`id: ${count}\ndata: ${count}\n\n`);
  }, TICK_MS);
  request.on('close', () => {
    clearInterval(interval);
    response.end();
  });
});

const server = app.listen(PORT, () => console.log(`http://localhost:${server.address().port}`));
