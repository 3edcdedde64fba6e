import { parse, subscribe } from '../client/subscribe.ts';
import { json, type EventStream, type Json } from '../server/eventStream.ts';

// Compiled by `npm run check`, and never run: what is sound compiles, and what is marked does not. Each marked
// line differs from a sound one only in what its comment says.

type Orders = { order: Json<{ item: string; cups: number }>; ping: '' };
declare const orders: EventStream<Orders>;
declare const numbers: EventStream<{ message: number }>;
declare const anything: EventStream;
const tea = { item: 'tea', cups: 2 };
interface Ticks {
  tick: number;
}

export function misuse(): void {
  orders.send({ event: 'order', id: 'a1', data: json(tea) });
  // @ts-expect-error An unknown event
  orders.send({ event: 'ordr', id: 'a1', data: json(tea) });
  // @ts-expect-error No event, where each has a name
  orders.send({ id: 'a1', data: json(tea) });
  // @ts-expect-error An object of another shape
  orders.send({ event: 'order', id: 'a1', data: json({ item: 'tea' }) });
  // @ts-expect-error Text that is no JSON
  orders.send({ event: 'order', id: 'a1', data: 'tea' });
  orders.send({ event: 'ping', data: '' });

  anything.send({ data: json(null) });
  // @ts-expect-error Undefined has no JSON
  anything.send({ data: json(undefined) });

  numbers.send({ data: 1 });
  numbers.send({ event: 'message', id: String(1), data: 1 });
  // @ts-expect-error Text for a number
  numbers.send({ data: 'one' });
  anything.send({ event: 'note', data: 'a' });

  subscribe<Orders>('/orders', { order: ({ data }) => parse(data).cups.toFixed(), ping() {} });
  // @ts-expect-error A property that the object does not have
  subscribe<Orders>('/orders', { order: ({ data }) => parse(data).cup.toFixed(), ping() {} });
  // @ts-expect-error An unknown event
  subscribe<Orders>('/orders', { order: ({ data }) => parse(data).cups.toFixed(), ping() {}, oder() {} });
  // @ts-expect-error An event that nobody hears
  subscribe<Orders>('/orders', { order: ({ data }) => parse(data).cups.toFixed() });
  // @ts-expect-error A handler that wants data instead of a message
  subscribe<Orders>('/orders', { order: ({ cups }: typeof tea) => cups.toFixed(), ping() {} });
  // @ts-expect-error `error` is not an event of the stream
  subscribe<Orders>('/orders', { order: ({ data }) => parse(data).cups.toFixed(), ping() {}, error() {} });

  subscribe<{ message: number }>('/count', { message: ({ data }) => Number(data) });
  // @ts-expect-error The wire has text, not numbers
  subscribe<{ message: number }>('/count', { message: ({ data }) => data.toFixed() });
  subscribe<Ticks>('/ticks', { tick: ({ data }) => data.trim() });
  subscribe('/anything', { message: ({ data }) => data.trim(), note: ({ data }) => data.trim() });
  // @ts-expect-error `open` is not an event of the stream
  subscribe('/anything', { message: ({ data }) => data.trim(), open() {} });
}
