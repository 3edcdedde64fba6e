import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyProject } from './support/copyProject.ts';
import { ended, launch } from './support/processes.ts';

/** What goes wrong; where it is handled: the file, the code, and what stands there without; the test that fails then. */
type Pitfall = [what: string, file: string, code: string, without: string, testFile: string, title: string];

const STREAM = 'server/eventStream.ts';
const STREAM_TEST = 'server/eventStream.test.ts';
const TRANSPORTS_TEST = 'server/transports.test.ts';
const APP = 'server/app.ts';
const APP_TEST = 'server/app.test.ts';
const WIRE_TEST = 'server/wire.test.ts';
const MAIN = 'server/main.ts';
const SHUT_DOWN_TEST = 'server/shutDown.test.ts';
const SUBSCRIBE = 'client/subscribe.ts';
const SUBSCRIBE_TEST = 'client/subscribe.test.ts';
const PAGE_TEST = 'client/subscribe.page.test.ts';
const HOOK = 'client/useEventSource.ts';
const HOOK_TEST = 'client/useEventSource.test.ts';

// prettier-ignore
const PITFALLS: Pitfall[] = [
  ['The client leaves, its timer stays',
    STREAM, "res.on('close', () => this.close());", '',
    APP_TEST, 'a client that leaves takes its timers and its place with it'],
  ['setInterval drifts and drops ticks',
    'server/clock.ts', 'clock.dueMs += clock.intervalMs;', 'clock.dueMs = performance.now() + clock.intervalMs;',
    'server/count.test.ts', 'a thousand numbers with timers that are always late do not drift'],
  ['compression() holds messages back',
    STREAM, 'no-cache, no-transform', 'no-cache',
    APP_TEST, 'under compression the first number still arrives when it is due'],
  ['Another compressor holds messages back',
    STREAM, "res.hasHeader('Content-Encoding')", 'false',
    STREAM_TEST, 'such as a middleware that compresses whatever no-transform says is told and cut'],
  ['nginx holds messages back',
    STREAM, "'X-Accel-Buffering': 'no', //", '//',
    APP_TEST, 'sends its headers and the reconnection time before the first number'],
  ['A client reads too slowly, and the backlog grows',
    STREAM, 'backlog > this.#limit;', 'false;',
    STREAM_TEST, 'gets its backlog and is disconnected when that grows beyond the documented limit'],
  ['A limit on the backlog cuts a burst, over TLS every one',
    STREAM, 'this.#limit = Infinity;', 'this.#limit = MAX_BUFFERED_BYTES;',
    TRANSPORTS_TEST, 'a burst of one turn arrives on one connection, and so does what follows'],
  ['A client that has caught up may not fall behind again',
    STREAM, 'this.#limit = undefined;', '',
    TRANSPORTS_TEST, 'a burst may follow a burst, once the client has read it'],
  ['A client stalls for ever',
    STREAM, 'if (this.#stalledMs >= STALLED_AFTER_MS) this.#cut();', '',
    STREAM_TEST, 'is disconnected when it reads nothing for the documented time'],
  ['A heartbeat calls the callbacks of the app’s own timeouts',
    STREAM, '() => this.#tick(), ', "() => res.emit('timeout') && this.#tick(), ",
    STREAM_TEST, 'are not called for a heartbeat'],
  ['A source that loops over ready() starves the rest of the process',
    STREAM, 'await new Promise((resolve) => setImmediate(resolve));', '',
    STREAM_TEST, 'that loops over ready() lets others have their turn'],
  ['Every reconnect starts at 1',
    APP, 'count(first,', 'count(1,',
    WIRE_TEST, 'it goes on after'],
  ['A line end in an id injects messages',
    STREAM, '/^(?! )\\P{Cc}+(?<! )$/u', '/./',
    STREAM_TEST, 'as an id or an event'],
  ['An id with a space at its end comes back without it',
    STREAM, '(?<! )', '',
    STREAM_TEST, 'as an id or an event'],
  ['A crash looks like the end of the body',
    STREAM, 'if (!this.#isEnded) this.#cut();', "this.#end('');",
    TRANSPORTS_TEST, 'a crash of the source is not taken for the end'],
  ['Over HTTP/2 a crash looks like the end',
    STREAM, "this.#channel === this.#res.socket ? undefined : new Error('The stream was cut')", '',
    TRANSPORTS_TEST, 'a crash of the source is not taken for the end'],
  ['An async source throws, and the process ends',
    STREAM, 'await result.then(', 'void result.then(',
    TRANSPORTS_TEST, 'a crash of the source is not taken for the end'],
  ['Pipelined requests mix two answers',
    STREAM, 'if (res.socket)', 'if (true)',
    STREAM_TEST, 'are answered in turn, the stream after what came before it'],
  ['Files asked for behind a stream stay open when the client goes',
    'server/page.ts', '    waitForTurn,', '',
    'server/page.test.ts', 'a stream open no file that outlives their client'],
  ['HEAD never ends',
    STREAM, "req.method === 'HEAD'", 'false',
    APP_TEST, 'ends the answer to HEAD, and starts nothing'],
  ['Other origins can not read Retry-After',
    APP, ", 'Access-Control-Expose-Headers': 'Retry-After'", '',
    APP_TEST, 'beyond the cap get 503 and Retry-After, until a place is free'],
  ['A silent connection stays for ever',
    MAIN, '.setTimeout(IDLE_AFTER_MS)', '',
    'server/main.test.ts', 'a connection on which nothing moves is cut after the idle timeout'],
  ['Shutdown hangs on open streams',
    MAIN, '  drain();', '',
    SHUT_DOWN_TEST, 'each of a hundred streams ends with a retry and the exit code is 0'],
  ['Shutdown hangs on connections that are kept alive',
    MAIN, 'if (!server.listening) this.req.socket.end();', '',
    SHUT_DOWN_TEST, 'a connection closes as soon as its answer is sent'],
  ['An uncaught exception cuts every stream',
    MAIN, "process.once('uncaughtException'", "process.once('nothing'",
    SHUT_DOWN_TEST, 'after an uncaught exception every stream ends with a retry and the exit code is 1'],
  ['After a deploy all clients return at once',
    APP, 'Math.random() * DRAIN_WINDOW_MS', 'DRAIN_WINDOW_MS',
    APP_TEST, 'ends every stream after a reconnection time of its own'],
  ['After a crash all clients return at once',
    STREAM, ' * (0.5 + Math.random())', '',
    WIRE_TEST, 'a reconnection time comes first, of its own for each connection'],
  ['One 502 closes an EventSource for good',
    SUBSCRIBE, 'if (source.readyState === CLOSED) return ask(event);', '',
    PAGE_TEST, 'comes back with ?lastEventId= when the browser has given up after'],
  ['A refusal that will not pass is asked for again and again',
    SUBSCRIBE, "if (isFinal(code)) return enter({ state: 'closed', status: code });", '',
    SUBSCRIBE_TEST, ', after two requests'],
  ['A dead network is asked why it refuses',
    SUBSCRIBE, 'if (!browserReconnects) return retryLater();', 'return ask(event);',
    PAGE_TEST, 'backs off from a server that can not be reached, and sends it no HEAD'],
  ['A dead connection raises no error',
    SUBSCRIBE, 'if (lookedAt - heardAt >= patienceMs) {', 'if (false) {',
    SUBSCRIBE_TEST, 'replaces a connection that has been silent for too long'],
  ['The watchdog ends a connection that speaks',
    SUBSCRIBE, 'heardDate = Date.now();\n      patienceMs', 'patienceMs',
    SUBSCRIBE_TEST, 'keeps a connection on which something is heard in time, by default 40 s'],
  ['Back from sleep or offline, the page waits',
    SUBSCRIBE, "else if (type !== 'visibilitychange' || !isHidden()) wake();", '',
    SUBSCRIBE_TEST, 'does not wait for the backoff at'],
  ['A page that is left keeps its connection',
    SUBSCRIBE, "type === 'pagehide' || ", '',
    SUBSCRIBE_TEST, 'is paused without a connection from pagehide to pageshow'],
  ['A hidden page connects, though told not to',
    SUBSCRIBE, 'if (pauseWhenHidden && isHidden()) return suspend();', '',
    SUBSCRIBE_TEST, 'makes no connection in a hidden page, if asked to'],
  ['A finished stream is asked for again and again',
    SUBSCRIBE, "if (message.type === END_EVENT) enter({ state: 'closed' });", '',
    SUBSCRIBE_TEST, 'is closed for good by the event that ends the stream'],
  ['StrictMode opens two connections',
    HOOK, 'enabled && !isPaused ? stream.connect() : undefined', 'void (enabled && !isPaused && stream.connect())',
    HOOK_TEST, 'holds one connection under StrictMode and none after the component has gone'],
  ['A new handler is never called',
    HOOK, 'subscription?.handle(next?.handlers ?? {});', '',
    HOOK_TEST, 'calls the newest handlers and onStatus'],
  ['The status of the old stream is told to the new URL',
    HOOK, 'if (shown.current !== stream) shown.current.follow();', '',
    HOOK_TEST, 'hands no end of the old stream on to another URL'],
];

let folder: string;
beforeAll(async () => {
  folder = await copyProject('test', 'examples', 'dist');
});
afterAll(() => rm(folder, { recursive: true, maxRetries: 5 }));

test('with the handling of every pitfall, its test passes', async () => {
  const { code, output } = await run(PITFALLS);
  expect(code, output).toBe(0);
});

test.each(PITFALLS)('without its handling a test fails: %s', async (...pitfall) => {
  const [, file, code, without] = pitfall;
  const path = join(folder, file);
  const text = await readFile(path, 'utf8');
  expect(text.split(code)).toHaveLength(2);
  await writeFile(
    path,
    text.replace(code, () => without),
  );
  // A test that waits for what never comes has failed, too.
  const { output } = await run([pitfall], '--testTimeout', '15000', '--bail', '1');
  await writeFile(path, text);
  expect(output).toMatch(/Tests +\d+ failed/);
});

/** Runs the tests of these pitfalls, and no other. */
function run(pitfalls: Pitfall[], ...limits: string[]): ReturnType<typeof ended> {
  const files = new Set(pitfalls.map(([, , , , testFile]) => testFile));
  const titles = pitfalls.map(([, , , , , title]) => title.replaceAll(/[^\w ]/g, '.')).join('|');
  const command = ['node_modules/vitest/vitest.mjs', 'run', ...files, ...limits, '-t', titles];
  const env = { CI: 'true', VITEST: undefined, NODE_ENV: undefined };
  const { child, output } = launch([process.execPath, ...command], { folder, env });
  return ended(child, output);
}
