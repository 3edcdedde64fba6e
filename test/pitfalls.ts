/** Where a pitfall is handled, and the test that fails without it. */
export interface Pitfall {
  /** What goes wrong, as in the table of test/README.md. */
  what: string;
  file: string;
  /** The code that handles it, a part of one line, and what stands there without it. */
  code: string;
  without: string;
  testFile: string;
  /** The test's title, or a part of it. */
  test: string;
}

const stream = { file: 'server/eventStream.ts', testFile: 'server/eventStream.test.ts' };
const subscription = { file: 'client/subscribe.ts', testFile: 'client/subscribe.test.ts' };
const hook = { file: 'client/useEventSource.ts', testFile: 'client/useEventSource.test.ts' };

/** In the order of the table. */
export const PITFALLS: readonly Pitfall[] = [
  {
    what: 'The client leaves, its timer stays',
    ...stream,
    code: "res.on('close', () => stream.close().catch(console.error));",
    without: '',
    testFile: 'server/app.test.ts',
    test: 'a client that leaves takes its timers and its place with it',
  },
  {
    what: '`setInterval` drifts and drops ticks',
    file: 'server/clock.ts',
    code: 'listener.dueMs += intervalMs;',
    without: 'listener.dueMs = now + intervalMs;',
    testFile: 'server/count.test.ts',
    test: 'a thousand numbers with timers that are always late do not drift',
  },
  {
    what: '`compression()` holds messages back',
    ...stream,
    code: 'no-cache, no-transform',
    without: 'no-cache',
    testFile: 'server/app.test.ts',
    test: 'under compression the first number still arrives when it is due',
  },
  {
    what: 'nginx holds messages back',
    ...stream,
    code: "{ ...headers, 'X-Accel-Buffering': 'no' }",
    without: 'headers',
    testFile: 'test/nginx.proof.ts',
    test: 'frames arrive one by one',
  },
  {
    what: 'A client reads too slowly, and the backlog grows',
    ...stream,
    code: 'return backlog > this.#limit;',
    without: 'return false;',
    test: 'gets its backlog and is disconnected when that grows beyond the documented limit',
  },
  {
    what: 'A limit on the backlog cuts a burst, over TLS every one',
    ...stream,
    code: 'setImmediate(() => (this.#limit = this.#channel.writableLength + MAX_BUFFERED_BYTES));',
    without: 'this.#limit = MAX_BUFFERED_BYTES;',
    testFile: 'server/transports.test.ts',
    test: 'a burst of one turn arrives on one connection, and so does what follows',
  },
  {
    what: 'A client stalls for ever',
    ...stream,
    code: 'if (this.#isStalled && wasStalled) return void this.#res.destroy();',
    without: '',
    test: 'is disconnected when it takes nothing for the documented time',
  },
  {
    what: 'Every reconnect starts at 1',
    file: 'server/app.ts',
    code: 'count(Number(id) + 1,',
    without: 'count(1,',
    testFile: 'server/app.test.ts',
    test: 'goes on after',
  },
  {
    what: 'A line end in an id injects messages',
    ...stream,
    code: '/^\\P{Cc}+$/u.test(value)',
    without: 'true',
    test: 'as an id or an event',
  },
  {
    what: 'A crash looks like the end of the body',
    ...stream,
    code: '    this.#res.destroy();',
    without: 'this.#res.end();',
    test: 'that rejects is logged once, and cut off so that nobody takes it for the end',
  },
  {
    what: 'An async source throws, and the process ends',
    ...stream,
    code: 'await result.then(',
    without: 'void result.then(',
    test: 'that rejects is logged once, and cut off so that nobody takes it for the end',
  },
  {
    what: 'Pipelined requests mix two answers',
    ...stream,
    code: 'if (res.socket) process.nextTick',
    without: 'if (true) process.nextTick',
    test: 'are answered in turn, the stream after what came before it',
  },
  {
    what: 'Files asked for behind a stream stay open when the client goes',
    file: 'server/page.ts',
    code: 'page.use(waitForTurn);',
    without: '',
    testFile: 'server/page.test.ts',
    test: 'a stream open no file that outlives their client',
  },
  {
    what: '`HEAD` never ends',
    ...stream,
    code: "req.method === 'HEAD'",
    without: 'false',
    testFile: 'server/app.test.ts',
    test: 'HEAD gets the headers and ends',
  },
  {
    what: 'Shutdown hangs on open streams',
    file: 'server/main.ts',
    code: '  drain();',
    without: '',
    testFile: 'server/shutDown.test.ts',
    test: 'each of a hundred streams ends with a retry and the exit code is 0',
  },
  {
    what: 'After a deploy all clients return at once',
    file: 'server/app.ts',
    code: 'Math.random() * windowMs',
    without: 'windowMs',
    testFile: 'server/app.test.ts',
    test: 'ends every stream after a reconnection time of its own',
  },
  {
    what: 'After a crash all clients return at once',
    ...stream,
    code: ' * (0.5 + Math.random())',
    without: '',
    testFile: 'server/app.test.ts',
    test: 'gives each connection a reconnection time of its own',
  },
  {
    what: 'One 502 closes an EventSource for good',
    ...subscription,
    code: 'if (source?.readyState === EventSource.CLOSED) return void refused();',
    without: '',
    test: 'comes back with ?lastEventId= when the browser has given up after',
  },
  {
    what: 'A refusal that will not pass is asked for again and again',
    ...subscription,
    code: 'if (answer && isFinal(answer.status)) return close({ status: answer.status });',
    without: '',
    test: ', after two requests',
  },
  {
    what: 'A dead connection raises no error',
    ...subscription,
    code: 'if (staleAfterMs < 2 ** 31) timer = setTimeout(() => (timer = setTimeout(fail)), staleAfterMs);',
    without: '',
    test: 'replaces a connection that has been silent for too long',
  },
  {
    what: 'Back from sleep or offline, the page waits',
    ...subscription,
    code: "if (source && status.state !== 'reconnecting' && !isSilent) return;",
    without: 'return;',
    testFile: 'client/subscribe.page.test.ts',
    test: 'does not wait for the backoff at',
  },
  {
    what: 'A finished stream is asked for again and again',
    ...subscription,
    code: 'if (message.type === END_EVENT) close();',
    without: '',
    test: 'is closed for good by the event that ends the stream',
  },
  {
    what: 'StrictMode opens two connections',
    ...hook,
    code: 'return held.current.subscription.pause;',
    without: 'return;',
    test: 'holds one connection under StrictMode and none after the component has gone',
  },
  {
    what: 'A new handler opens another connection, or is never called',
    ...hook,
    code: 'latest.current.handlers[message.type]',
    without: 'handlers[message.type]',
    test: 'calls the newest handler, and a new one makes no new connection',
  },
];
