import express from 'express';
import { json, lastEventId, openEventStream, type Json } from '../../server/eventStream.ts';

const app = express();

// A clock: an event with a name, every second.
app.get('/clock', (req, res) => {
  openEventStream(req, res, (stream) => {
    const timer = setInterval(() => stream.send({ event: 'time', data: new Date().toISOString() }), 1000);
    return () => clearInterval(timer);
  });
});

// A job that finishes.
app.get('/job', (req, res) => {
  openEventStream(req, res, (stream) => {
    let percent = Number(lastEventId(req)) || 0;
    const timer = setInterval(() => {
      if (percent >= 100) return stream.finish();
      percent += 10;
      stream.send({ id: percent, data: percent });
    }, 100);
    return () => clearInterval(timer);
  });
});

// Objects, typed as far as the page.
export interface OrderEvents {
  order: Json<{ item: string; cups: number }>;
}
const orders = [
  { item: 'tea', cups: 2 },
  { item: 'mate', cups: 1 },
];
app.get('/orders', (req, res) => {
  openEventStream<OrderEvents>(req, res, (stream) => {
    const seen = Number(lastEventId(req)) || 0;
    for (const [i, order] of orders.entries()) {
      if (i >= seen) stream.send({ event: 'order', id: i + 1, data: json(order) });
    }
  });
});

// Tokens, as language models send them. JSON keeps their spaces and line ends.
const TOKENS = ['Less', ' is\n', 'more', '.'];
app.get('/answer', (req, res) => {
  openEventStream(req, res, async (stream) => {
    for (const [i, token] of TOKENS.entries()) {
      if (i < Number(lastEventId(req))) continue;
      await stream.ready();
      stream.send({ id: i + 1, data: json(token) });
    }
  });
});

app.listen(Number(process.env['PORT']));
