import { once } from 'node:events';
import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { MAX_BUFFERED_BYTES, openEventStream } from '../server/eventStream.ts';
import { launch, listening, type ServerProcess } from './support/processes.ts';
import { request } from './support/rawHttp.ts';
import { seed, times } from './support/run.ts';
import { eventually, listen, send } from './support/testServer.ts';

const GET = request('GET', '/count');

test('an open stream takes less than 10 kB of heap', async () => {
  const server = await startProbed();
  await many(200, () => visit(server.port, GET, isStream)); // compiles the code
  await untilEmpty(server);
  const before = await server.figures();
  const streams = 2000;
  const clients = await many(streams, async () => {
    const socket = connect(server.port, '127.0.0.1').on('error', () => {});
    socket.write(GET);
    await once(socket, 'data');
    return socket.resume();
  });
  const after = await server.figures();
  for (const client of clients) client.destroy();
  expect((after.heapBytes - before.heapBytes) / streams).toBeLessThan(10_000);
});

test('clients that leave in every way leave no timer, socket, file or memory behind', async () => {
  const server = await startProbed({ TICK_MS: '10' });
  // The script takes several reads: a file that is read at once is closed at once.
  const page = await visit(server.port, request('GET', '/', 'Connection: close'));
  const files = request('GET', /\/assets\/[\w.-]+\.js/.exec(page)?.[0] ?? '').repeat(90);
  const half = ['', GET.slice(0, 9), GET.slice(0, -2)].map((text) => ({ text, after: '' }));
  const whole = [GET, GET + GET, `${GET}GET /co`, GET + files].flatMap((text) =>
    ['', 'retry', 'data: 2'].map((after) => ({ text, after })),
  );
  const ways = [...half, ...whole].flatMap((way) => [
    { ...way, how: 'end' as const },
    { ...way, how: 'reset' as const },
  ]);
  const come = async (rounds: number): Promise<Figures> => {
    await many(rounds * ways.length, (i) => {
      const { text, after, how } = ways[i % ways.length] ?? { text: '', after: '', how: 'end' };
      return visit(server.port, text, (received) => received.includes(after), how);
    });
    return untilEmpty(server);
  };
  const before = await come(5);
  const after = await come(20 * times);
  expect(after.timers).toBeLessThanOrEqual(before.timers);
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
  expect(after.heapBytes).toBeLessThan(before.heapBytes + 1e6);
  expect(server.errors()).toBe('');
});

test('clients that never read cost bounded bytes, and those beside them miss nothing', async () => {
  const data = 'x'.repeat(15_000); // large, so that the kernel's buffers fill soon
  const stalled: ServerResponse[] = [];
  let backlog = 0;
  const { port } = await listen((req, res) => {
    if (req.url === '/stalled') stalled.push(res);
    openEventStream(req, res, (stream) => {
      let n = 0;
      const timer = setInterval(() => {
        stream.send({ id: ++n, data: req.url === '/stalled' ? data : n });
        backlog = Math.max(backlog, res.writableLength);
      }, 10);
      return () => clearInterval(timer);
    });
  });
  const readers = Array.from({ length: 4 }, () => send(port, request('GET', '/')));
  const stall = async (): Promise<IncomingMessage> =>
    (await once(get({ port, path: '/stalled', agent: false }), 'response'))[0];
  for (let round = 0; round < times; round++) {
    const answers = await many(20, stall);
    await eventually(() => stalled.every((res) => res.writableEnded));
    // A response ends as it should when its client reads on.
    await Promise.all(answers.map((answer) => once(answer.resume(), 'end')));
  }
  expect(stalled).toHaveLength(20 * times);
  expect(backlog).toBeLessThan(2 * MAX_BUFFERED_BYTES + 2 * data.length);
  for (const { received } of readers) {
    const numbers = [...received().matchAll(/^data: (\d+)\n/gm)].map(([, n]) => Number(n));
    expect(numbers.length).toBeGreaterThan(10);
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  }
});

const METHODS =
  'GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PRI QUERY PURGE get GETT GET\t \0'.split(' ');
/** From `/../` on, attempts to leave the folder of the page. */
const PATHS = `/ /count /count/ //count /COUNT /health /index.html /assets /assets/ /favicon.svg /%E0% /%00
  /nope /constructor * ? # //[/ /\x7f /stra\xdfe http://a:b/count http://[x/ http:// a:1 //a:b@c/
  /../package.json /%2e%2e/package.json /..%2fpackage.json /..%5cpackage.json /....//package.json
  /%252e%252e/package.json /assets/../../package.json /assets/%2e%2e%2f%2e%2e%2fpackage.json /package.json
  /..;/package.json //../package.json /%c0%ae%c0%ae/package.json /assets/..%5c..%5cpackage.json
  /.git/config /../server/main.ts //etc/passwd /../../../../../../etc/passwd`.split(/\s+/);
const VALUES = `0 41 -1 1.5 NaN 1e3 9007199254740991 9007199254740993 1,2 %00 % %0a __proto__ 1&lastEventId=2
  []=1 \0 \x7f \xff`.split(/\s+/);
const ODD_VALUES = ['', ' ', '\t', '9'.repeat(400), 'y'.repeat(20_000)];
/** `$` is a place for one of the values. */
const HEADERS = `Last-Event-ID: $|Accept: $/|Accept: text/event-stream|Accept: text/html;q=x, */*;q=0
  |Accept-Encoding: gzip, br, deflate, zstd, *;q=0|Origin: null|Access-Control-Request-Method: GET
  |Access-Control-Request-Headers: $|Range: bytes=$-|Range: bytes=5-1,99999999-|If-None-Match: $|X: $
  |If-Modified-Since: $|If-Match: "x"|Content-Length: $|Content-Length: 5|Host: b|X-Forwarded-For: $
  |Transfer-Encoding: chunked|Transfer-Encoding: chunked, identity|Expect: 100-continue|Expect: $
  |Upgrade: websocket\r\nConnection: Upgrade|Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__|Cookie: $
  | folded: header|no colon|Bad Name: 1|${'X: 1\r\n'.repeat(300)}`.split(/\s*\|/);

/** What no answer may hold: the server's software, or a file from outside of the page's folder. */
const TELLTALE =
  /x-powered-by|^server:|express|node[/.]|node_modules|\bat .*:\d+:\d+|"private": true|createApp|root:x:/im;

/** Node's own warning about an unusual host, once per process. It is harmless. */
const ODD_HOST = /^(\(node:\d+\) \[DEP0170\] .*\n\(Use `node --trace-deprecation .*\n)?$/;

/** Requests, pipelined; a sound one now and then, so that what follows it is looked at, too. */
const conversation: fc.Arbitrary<string> = (() => {
  const value = fc.constantFrom(...VALUES, ...ODD_VALUES);
  const header = fc
    .tuple(fc.constantFrom(...HEADERS), value)
    .map(([text, in$]) => text.replace('$', () => in$));
  const one = fc
    .tuple(
      fc.oneof({ weight: 2, arbitrary: fc.constant('GET') }, fc.constantFrom(...METHODS)),
      fc.oneof(fc.constantFrom('/count', '/'), fc.constantFrom(...PATHS)),
      fc.oneof(
        { weight: 2, arbitrary: fc.constant('') },
        value.map((id) => `?lastEventId=${id}`),
      ),
      fc.oneof(
        { weight: 19, arbitrary: fc.constant('HTTP/1.1\r\nHost: localhost') },
        fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'HTP', ''),
      ),
      fc.array(header, { maxLength: 3 }),
    )
    .map(([method, path, query, version, headers]) =>
      [`${method} ${path}${query} ${version}`, ...headers].join('\r\n'),
    );
  const requests = fc
    .array(one, { minLength: 1, maxLength: 5 })
    .map((texts) => `${texts.join('\r\n\r\n')}\r\nConnection: close\r\n\r\n`);
  const bytes = fc
    .uint8Array({ maxLength: 300 })
    .map((raw) => `${Buffer.from(raw).toString('latin1')}\r\n\r\n`);
  const cut = fc.tuple(requests, fc.double({ min: 0, max: 1, noNaN: true }));
  return fc.oneof(
    { weight: 17, arbitrary: requests },
    bytes,
    requests.map((text) => `${text}5\r\nhello\r\n0\r\n\r\n`),
    cut.map(([text, share]) => text.slice(0, text.length * share)),
  );
})();

test('random requests, valid and invalid, get an answer that discloses nothing, and leave nothing', async () => {
  const env = { MAX_CONNECTIONS: '2', TICK_MS: '10' };
  let server = await startProbed(env);
  const ask = async (texts: string[]): Promise<void> => {
    if (server.child.exitCode !== null) server = await startProbed(env); // so that a crash shrinks, too
    const asked = texts.map(async (text) => {
      const received = await visit(server.port, text, isStream, 'reset', 300);
      for (const answer of received.split(/(?=HTTP\/1\.1 \d)/)) {
        expect(answer).not.toMatch(/^HTTP\/1\.1 (?!503)5/);
        // The page and its script may say what they like.
        const isPage = /^HTTP\/1\.1 20[06] [^]*?\r\nContent-Type: text\/(html|javascript)/.test(answer);
        expect(isPage ? answer.split('\r\n\r\n')[0] : answer).not.toMatch(TELLTALE);
      }
    });
    await Promise.all(asked);
    expect(server.child.exitCode, server.errors()).toBe(null);
  };
  const some = fc.array(conversation, { minLength: 1, maxLength: 100, size: 'max' });
  const property = fc.asyncProperty(some, ask);
  await fc.assert(property, { numRuns: 10, seed, endOnFailure: false }); // compiles the code
  const before = await untilEmpty(server);
  await fc.assert(property, { numRuns: 30 * times, seed: seed + 1 });
  const after = await untilEmpty(server, before.descriptors);
  expect(after.timers).toBeLessThanOrEqual(before.timers);
  expect(after.heapBytes).toBeLessThan(before.heapBytes + 2e6);
  const health = await visit(server.port, request('GET', '/health', 'Connection: close'));
  expect(health).toContain('{"status":"ok","connections":0}');
  expect(server.errors()).toMatch(ODD_HOST);
});

/** What a server's process holds after a forced garbage collection. */
interface Figures {
  heapBytes: number;
  sockets: number;
  timers: number;
  /** Open file descriptors; 0 on Windows, which has none. */
  descriptors: number;
}

interface Probed extends ServerProcess {
  figures(): Promise<Figures>;
}

/** Starts the server in a process that tells its figures. It ends with the test. */
async function startProbed(env: NodeJS.ProcessEnv = {}): Promise<Probed> {
  const probe = pathToFileURL(join(import.meta.dirname, 'support/probe.ts')).href;
  const command = [process.execPath, '--expose-gc', '--import', 'tsx', '--import', probe, 'server/main.ts'];
  const launched = launch(command, { env: { PORT: '0', HOST: '127.0.0.1', ...env }, ipc: true });
  onTestFinished(launched.stop);
  const figures = async (): Promise<Figures> => {
    launched.child.send('figures');
    return (await once(launched.child, 'message'))[0];
  };
  return { ...(await listening(launched)), figures };
}

/** Waits until the server has no socket of a client, and so no file to send: such files are closed a little later. */
async function untilEmpty(server: Probed, descriptors = Infinity): Promise<Figures> {
  return eventually(async () => {
    const figures = await server.figures();
    return figures.sockets === 0 && figures.descriptors <= descriptors && figures;
  }) as Promise<Figures>;
}

/** Sends `text`, and leaves when what came is enough or after `ms`. Returns what came. */
function visit(
  port: number,
  text: string,
  isEnough: (received: string) => boolean = () => false,
  how: 'end' | 'reset' = 'end',
  ms = 10_000,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1');
    let received = '';
    const look = (): void => {
      if (isEnough(received)) void (how === 'end' ? socket.end() : socket.resetAndDestroy());
    };
    const timer = setTimeout(() => socket.destroy(), ms);
    socket.on('data', (chunk: string) => {
      received += chunk;
      look();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(received);
    });
    socket.write(text, 'latin1', look);
  });
}

function isStream(received: string): boolean {
  return received.includes('\r\nretry: ');
}

/** Does this `n` times, a hundred at a time. */
async function many<Value>(n: number, run: (i: number) => Promise<Value>): Promise<Value[]> {
  const values: Value[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < n) values.push(await run(next++));
  };
  await Promise.all(Array.from({ length: 100 }, lane));
  return values;
}
