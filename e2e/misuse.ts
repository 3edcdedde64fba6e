// What must not compile. `npm run check` fails when one of the lines that say so does compile after all.
import { createEventSource, parse } from '../client/eventSource.ts';
import { json, type EventStream, type Json } from '../server/eventStream.ts';

type OrderEvents = { order: Json<{ item: string; cups: number }>; ping: '' };
const tea = { item: 'tea', cups: 2 };

export function send(stream: EventStream<OrderEvents>, plain: EventStream<{ message: number }>): void {
  stream.send({ event: 'order', id: 'a1', data: json(tea) });
  stream.send({ event: 'ping', data: '' });
  plain.send({ data: 1 });
  plain.send({ event: 'message', id: String(1), data: 1 });

  // @ts-expect-error Unknown event.
  stream.send({ event: 'ordr', data: json(tea) });
  // @ts-expect-error No event: this stream has none without a name.
  stream.send({ data: json(tea) });
  // @ts-expect-error Cups are missing.
  stream.send({ event: 'order', data: json({ item: 'tea' }) });
  // @ts-expect-error Text that is no JSON of an order.
  stream.send({ event: 'order', data: 'tea' });
  // @ts-expect-error An id of two lines.
  stream.send({ event: 'order', id: 'a\nb', data: json(tea) });
  // @ts-expect-error Text instead of a number.
  plain.send({ data: 'one' });
}

createEventSource<OrderEvents>('/orders', { order: ({ data }) => parse(data).cups.toFixed(), ping() {} });
createEventSource<{ message: number }>('/count', { message: ({ data }) => Number(data) });
createEventSource('/anything', { message: ({ data }) => data.trim(), note: ({ data }) => data.trim() });

// @ts-expect-error Unknown event.
createEventSource<OrderEvents>('/orders', { order() {}, ping() {}, oder() {} });
// @ts-expect-error Nobody hears ping.
createEventSource<OrderEvents>('/orders', { order() {} });
// @ts-expect-error An order has no such property.
createEventSource<OrderEvents>('/orders', { order: ({ data }) => parse(data).cup, ping() {} });
// @ts-expect-error A handler gets a message, not its data.
createEventSource<OrderEvents>('/orders', { order: (order: typeof tea) => order.cups, ping() {} });
// @ts-expect-error On the wire a number is text.
createEventSource<{ message: number }>('/count', { message: ({ data }) => data.toFixed() });
