import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener } from 'node:http';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { transformWithOxc } from 'vite';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { launchBrowser } from './browser.ts';
import { listen } from './testServer.ts';
import type { subscribe, Handlers, Status, SubscribeOptions, Subscription } from '../../client/subscribe.ts';

declare global {
  interface Window {
    subscribe: typeof subscribe;
    /** Subscribes, and records what happens here. */
    begin: (url: string | (() => string), options?: SubscribeOptions) => void;
    source: Subscription;
    /** Every EventSource that was made. */
    eventSources: EventSource[];
    statuses: Status[];
    /** What else to do at a change of the status. */
    onStatus?: (status: Status) => unknown;
    /** What else to do with a message. */
    onMessage?: (message: MessageEvent<string>) => unknown;
    /** Milliseconds until the next attempt, each time that it was known. */
    delays: number[];
    /** Type, data and last event ID of each message that was handed on. */
    messages: [type: string, data: string, lastEventId: string][];
    /** Errors that were reported. */
    errors: string[];
  }
}

export const HEADERS = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' };

const PAGE = `<!doctype html><base href="/base/" /><title>test</title><script type="module">
  import { subscribe } from '/subscribe.js';
  window.subscribe = subscribe;
</script>`;

/** Answers with these frames and leaves the stream open. */
export function stream(...frames: string[]): RequestListener {
  return (_req, res) => void res.writeHead(200, HEADERS).write(['retry: 50', ...frames, ''].join('\n\n'));
}

export function answer(status: number, headers: Record<string, string> = {}): RequestListener {
  return (_req, res) => void res.writeHead(status, headers).end();
}

export const silence: RequestListener = () => {};

/**
 * Gives these answers to GET in turn, and the last of them again and again. Answers HEAD with `head`, or as the last GET.
 * Keeps all requests in `requests`.
 */
export function inTurn(
  answers: RequestListener[],
  requests: IncomingMessage[],
  head?: RequestListener,
): RequestListener {
  return (req, res) => {
    requests.push(req);
    if (req.method === 'HEAD' && head) return head(req, res);
    const gets = requests.filter(({ method }) => method === 'GET').length;
    return answers[Math.min(gets, answers.length) - 1]?.(req, res);
  };
}

/** How a page subscribes. */
interface PageOptions {
  /** Default: `/stream`. */
  url?: string;
  options?: Omit<SubscribeOptions, 'onStatus'>;
  /** Events that are handed on. Default: `message` and `note`. */
  events?: string[];
  /** Whether the page's clock stands still until the test moves it. Default: no. */
  fakeClock?: boolean;
  /** Whether to subscribe. Default: yes; otherwise the test calls `window.begin`. */
  begin?: boolean;
  /** Answers HEAD. Default: as the last GET was answered. */
  head?: RequestListener;
  /** Gives another page than one of the common browser. */
  open?: () => Promise<Page>;
}

/** A page that has subscribed, and the requests for its stream so far. */
interface Subscribed {
  page: Page;
  requests: IncomingMessage[];
  origin: string;
}

/**
 * Starts a browser for the tests of a `describe`, and closes it after them. Returns what opens a page that
 * subscribes to a server whose stream gives `answers` in turn, and the last of them again and again.
 */
export function pages(): (answers: RequestListener[], options?: PageOptions) => Promise<Subscribed> {
  let browser: Browser;
  let shared: Page;
  beforeAll(async () => {
    browser = await launchBrowser();
    shared = await browser.newPage();
  });
  afterAll(() => browser.close());
  return subscribe;

  async function subscribe(
    answers: RequestListener[],
    {
      url = '/stream',
      options = {},
      events = ['message', 'note'],
      fakeClock = false,
      begin = true,
      head,
      open,
    }: PageOptions = {},
  ): Promise<Subscribed> {
    const requests: IncomingMessage[] = [];
    const play = inTurn(answers, requests, head);
    const script = await transformWithOxc(
      await readFile(join(import.meta.dirname, '..', '..', 'client', 'subscribe.ts'), 'utf8'),
      'subscribe.ts',
    );
    const server = await listen((req, res) => {
      if (req.url === '/' || req.url === '/elsewhere')
        return res.setHeader('Content-Type', 'text/html').end(PAGE);
      if (req.url === '/subscribe.js')
        return res.setHeader('Content-Type', 'text/javascript').end(script.code);
      if (!req.url?.includes('stream')) return res.writeHead(404).end();
      return play(req, res);
    });
    const page = (await open?.()) ?? (fakeClock ? await browser.newPage() : shared);
    if (fakeClock) {
      await page.clock.install({ time: 0 });
      await page.clock.pauseAt(1000);
    }
    onTestFinished(async () => {
      if (page === shared) await page.goto('about:blank');
      else await page.close();
    });
    const origin = `http://127.0.0.1:${server.port}`;
    await page.goto(origin);
    await page.evaluate((names) => {
      Math.random = () => 0.1;
      window.eventSources = [];
      window.statuses = [];
      window.delays = [];
      window.messages = [];
      window.errors = [];
      window.addEventListener('error', ({ message }) => window.errors.push(message));
      window.EventSource = class extends EventSource {
        constructor(...given: ConstructorParameters<typeof EventSource>) {
          super(...given);
          window.eventSources.push(this);
        }
      };
      window.begin = (given, rest) => {
        const handlers: Handlers = Object.fromEntries(
          names.map((name) => [
            name,
            (message: MessageEvent<string>) => {
              window.messages.push([message.type, message.data, message.lastEventId]);
              window.onMessage?.(message);
            },
          ]),
        );
        window.source = window.subscribe(given, handlers, {
          ...rest,
          onStatus(status) {
            window.statuses.push(status);
            if (status.state === 'reconnecting' && status.dueAt !== undefined)
              window.delays.push(Math.round((status.dueAt - Date.now()) / 10) * 10);
            window.onStatus?.(status);
          },
        });
      };
    }, events);
    if (begin) await page.evaluate(([given, rest]) => window.begin(given, rest), [url, options] as const);
    return { page, requests, origin };
  }
}

/** Method and path of each request. */
export function asked(requests: IncomingMessage[]): string[] {
  return requests.map(({ method, url }) => `${method} ${url}`);
}

/** Waits until the subscription is in this state. */
export async function untilState(page: Page, state: string): Promise<void> {
  await page.waitForFunction((wanted) => window.statuses.at(-1)?.state === wanted, state);
}

/** Tells the page that it is hidden, or visible again: headless browsers show every tab all the time. */
export async function hide(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate(
    (state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    },
    hidden ? 'hidden' : 'visible',
  );
}

export async function untilMessages(page: Page, n: number): Promise<Window['messages']> {
  await page.waitForFunction((wanted) => window.messages.length >= wanted, n);
  return page.evaluate(() => window.messages);
}

export function states(page: Page): Promise<string[]> {
  return page.evaluate(() => window.statuses.map(({ state }) => state));
}
