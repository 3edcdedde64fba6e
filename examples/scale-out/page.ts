import { parse, subscribe } from '../../client/subscribe.ts';
import type { LogEvents } from './log.ts';
import '../page.css';

const list = document.querySelector('ol');
const alert = document.querySelector('[role=alert]');
const status = document.querySelector('[role=status]');

subscribe<LogEvents>(
  '/log',
  {
    snapshot: ({ data }) => list?.replaceChildren(...parse(data).map(item).toReversed()),
    entry: ({ data }) => list?.prepend(item(data)),
    reset: () => alert?.replaceChildren('Some entries were missed. These are the newest.'),
  },
  { onStatus: ({ state }) => status?.replaceChildren(state) },
);

function item(text: string): HTMLLIElement {
  const element = document.createElement('li');
  element.textContent = text;
  return element;
}
