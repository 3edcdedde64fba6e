import { useState } from 'react';
import type { OrderEvents } from './server';
import { parse } from './subscribe';
import { useEventSource } from './useEventSource';

export function Cups() {
  const [cups, setCups] = useState(0);
  const { status, pause, resume } = useEventSource<OrderEvents>('/orders', {
    order: ({ data }) => setCups((n) => n + parse(data).cups),
    message: ({ data }) => console.log(Number(data)),
  });
  const isPaused = status.state === 'paused';
  return <button onClick={isPaused ? resume : pause}>{status.state === 'open' ? cups : status.state}</button>;
}
