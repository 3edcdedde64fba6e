import { subscribe } from '../../client/subscribe.ts';
import { send, words } from '../words.ts';
import type { LogEvents } from './server.ts';

const MAX_LINES = 500;
const url = `/logs/${/^#([\w-]{1,64})$/.exec(location.hash)?.[1] ?? 'build'}`;
const list = document.querySelector('ol');
const status = document.querySelector('[role=status]');
const alert = document.querySelector('[role=alert]');
const form = document.querySelector('form');
const input = form?.querySelector('input');
let exit = '';

subscribe<LogEvents>(
  url,
  {
    entry({ data }) {
      const line = document.createElement('li');
      line.textContent = data;
      list?.append(line);
      if (list && list.children.length > MAX_LINES) list.firstElementChild?.remove();
      line.scrollIntoView({ block: 'nearest' });
    },
    exit({ data }) {
      exit = `Ended with code ${data}`;
      form?.remove();
    },
    reset() {
      list?.replaceChildren();
      alert?.replaceChildren('Some lines were missed. These are the ones that the server has kept.');
    },
  },
  { onStatus: (next) => status?.replaceChildren(exit || words(next)) },
);

form?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const isExit = event.submitter?.getAttribute('value') === 'exit';
  const problem = await send('POST', url, isExit ? { exit: 0 } : { line: input?.value });
  alert?.replaceChildren(problem);
  if (problem === '' && input) input.value = '';
});
window.addEventListener('hashchange', () => location.reload());
