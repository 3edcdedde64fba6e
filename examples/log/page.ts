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
    },
    exit({ data }) {
      exit = `Ended with code ${data}`;
      list?.parentElement?.focus(); // the form goes, and with it the focus
      form?.remove();
    },
    reset() {
      list?.replaceChildren();
      alert?.replaceChildren('Some lines were missed. These are the ones that the server has kept.');
    },
  },
  { onStatus: (next) => status?.replaceChildren(exit || words(next)) },
);

let isSending = false;
form?.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isSending) return; // a double click
  isSending = true;
  const line = input?.value;
  const isExit = event.submitter?.getAttribute('value') === 'exit';
  const problem = await send('POST', url, isExit ? { exit: 0 } : { line });
  isSending = false;
  alert?.replaceChildren(problem);
  if (problem === '' && input?.value === line) form.reset();
});
window.addEventListener('hashchange', () => location.reload());
