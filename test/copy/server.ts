import { createServer } from 'node:http';
import { json, lastEventId, openEventStream, type Json } from './eventStream';

export interface OrderEvents {
  order: Json<{ item: string; cups: number }>;
  message: number;
}
const orders = [
  { item: 'tea', cups: 2 },
  { item: 'mate', cups: 1 },
];

export const server = createServer((req, res) => {
  openEventStream<OrderEvents>(req, res, async (stream) => {
    const seen = Number(lastEventId(req));
    for (const [i, order] of orders.entries()) {
      if (i >= seen) stream.send({ event: 'order', id: i + 1, data: json(order) });
      await stream.ready();
    }
    stream.send({ data: orders.length });
  });
});
