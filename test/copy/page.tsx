import { useState, type ReactElement } from 'react';
import { parse } from '../../client/subscribe.ts';
import { useEventSource } from '../../client/useEventSource.ts';
import type { OrderEvents } from './server.ts';

export function Clock(): ReactElement {
  const [time, setTime] = useState('');
  const { status, pause, resume } = useEventSource('/clock', { time: ({ data }) => setTime(data) });
  const isPaused = status.state === 'paused';
  return <button onClick={isPaused ? resume : pause}>{status.state === 'open' ? time : status.state}</button>;
}

export function Job(): ReactElement {
  const [percent, setPercent] = useState(0);
  const { status } = useEventSource('/job', { message: ({ data }) => setPercent(Number(data)) });
  return status.state === 'closed' ? <p>Done</p> : <progress value={percent} max={100} />;
}

export function Cups(): ReactElement {
  const [cups, setCups] = useState(0);
  useEventSource<OrderEvents>('/orders', { order: ({ data }) => setCups((n) => n + parse(data).cups) });
  return <p>{cups} cups</p>;
}
