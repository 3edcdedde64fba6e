import { JSDOM } from 'jsdom';
import { act } from 'react';
import { expect, test, vi } from 'vitest';

// Where jsdom is installed beside vitest, its setting environment: 'jsdom' does this.
const { window } = new JSDOM('', { url: 'http://localhost' });
const { document, location, navigator } = window;
const globals = { window, document, location, navigator, IS_REACT_ACT_ENVIRONMENT: true };
for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
const { createRoot } = await import('react-dom/client');
const { Turn } = await import('../chat/page.tsx'); // or your component, if it hands options to useEventSource

/** What the page sees of a server. */
class FakeEventSource extends EventTarget {
  static newest: FakeEventSource | undefined;
  readyState = 0;
  url: string;
  constructor(url: string) {
    super();
    this.url = url;
    FakeEventSource.newest = this;
  }
  close(): void {
    this.readyState = 2;
  }
  receive(type: string, data = '', lastEventId = ''): void {
    this.readyState = 1;
    act(() => void this.dispatchEvent(new MessageEvent(type, { data, lastEventId })));
  }
}

test('the page shows an answer as it comes, and that it was stopped', () => {
  const page = document.createElement('main');
  const answer = <Turn id="an-answer-to-test" options={{ EventSource: FakeEventSource }} />;
  act(() => createRoot(page).render(answer));
  const source = FakeEventSource.newest;
  expect(source?.url).toBe('/chats/an-answer-to-test');
  source?.receive('open');
  source?.receive('token', '"Hello "', '1');
  source?.receive('token', '"there"', '2');
  expect(page.querySelector('.answer')?.textContent).toBe('Hello there');
  source?.receive('ended', 'stopped');
  expect(page.querySelector('[role=status]')?.textContent).toBe('Stopped');
});
