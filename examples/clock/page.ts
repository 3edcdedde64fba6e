import { subscribe } from '../../client/subscribe.ts';

const time = document.querySelector('time');
const status = document.querySelector('[role=status]');

subscribe(
  '/clock',
  { message: ({ data }) => time?.replaceChildren(new Date(data).toLocaleTimeString()) },
  {
    onStatus({ state }) {
      status?.replaceChildren(state === 'reconnecting' ? 'No connection, trying again' : '');
    },
  },
);
