// What tutorials show: Express, cors, an interval per connection, and `write` on the response. The id is
// added: every server here sends the same two fields.
import cors from 'cors';
import express from 'express';

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
  }, 1000);
  request.on('close', () => {
    clearInterval(interval);
    response.end();
  });
});

const port = Number(process.env.PORT ?? 0);
const server = app.listen(port, () => console.log(`http://localhost:${server.address().port}`));
