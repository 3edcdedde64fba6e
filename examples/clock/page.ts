import { subscribe } from '../../client/subscribe.ts';
import '../page.css';

const time = document.querySelector('time');

subscribe('/clock', {
  message({ data }) {
    time?.replaceChildren(new Date(data).toLocaleTimeString());
  },
});
