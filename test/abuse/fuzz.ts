import { request } from '../support/rawHttp.ts';
import { ask, many, scriptOf } from './clients.ts';
import { atMost, eventually, same, type Outcome } from './outcome.ts';
import { startProbed } from './process.ts';
import { generator, type Random } from '../support/random.ts';

const METHODS = [
  ...Array.from({ length: 20 }, () => 'GET'),
  ...'HEAD HEAD POST PUT PATCH DELETE OPTIONS OPTIONS TRACE CONNECT PRI QUERY PURGE get GETT GET\t \0'.split(
    ' ',
  ),
];

const PATHS = [
  ...'/ /count /count /count /count/ //count /COUNT /health /index.html /assets /assets/ /favicon.svg'.split(
    ' ',
  ),
  ...'/%E0% /%00 /nope /constructor * ? # //[/ /\x7f /stra\xdfe /%F0%9D%84%9E'.split(' '),
  ...'http://a:b/count http://[x/ http:// http://a:99999/ ftp://a/health a:1 //a:b@c/'.split(' '),
];

/** Attempts to leave the static folder. */
const ESCAPES = [
  ...'/../package.json /%2e%2e/package.json /..%2fpackage.json /..%5cpackage.json /....//package.json'.split(
    ' ',
  ),
  ...'/%252e%252e/package.json /assets/../../package.json /assets/%2e%2e%2f%2e%2e%2fpackage.json'.split(' '),
  ...'/..;/package.json //../package.json /%c0%ae%c0%ae/package.json /assets/..%5c..%5cpackage.json'.split(
    ' ',
  ),
  ...'/package.json /.git/config /../server/main.ts //etc/passwd /../../../../../../etc/passwd'.split(' '),
];

const IDS = [
  ...'0 41 -1 1.5 NaN 1e3 4503599627370496 4503599627370497 1,2 %00 % %0a __proto__ 1&lastEventId=2 []=1'.split(
    ' ',
  ),
  '',
  ' ',
  '\0',
  '\x7f',
  '\xff',
  '\t',
  '9'.repeat(400),
];

/** A header line, with or without a value from `IDS` in it. */
const HEADERS: ((value: string) => string)[] = [
  (value) => `Last-Event-ID: ${value}`,
  (value) => `Accept: ${value}/`,
  () => 'Accept: text/event-stream',
  () => 'Accept: text/html;q=x, */*;q=0',
  () => 'Accept-Encoding: gzip, br, deflate, zstd, *;q=0',
  () => 'Origin: null',
  () => 'Access-Control-Request-Method: GET',
  (value) => `Access-Control-Request-Headers: ${value}`,
  (value) => `Range: bytes=${value}-`,
  () => 'Range: bytes=5-1,99999999-',
  (value) => `If-None-Match: ${value}`,
  (value) => `If-Modified-Since: ${value}`,
  () => 'If-Match: "x"',
  (value) => `Content-Length: ${value}`,
  () => 'Content-Length: 5',
  () => 'Transfer-Encoding: chunked',
  () => 'Transfer-Encoding: chunked, identity',
  () => 'Expect: 100-continue',
  (value) => `Expect: ${value}`,
  () => 'Upgrade: websocket\r\nConnection: Upgrade',
  () => 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
  () => 'Host: b',
  (value) => `X-Forwarded-For: ${value}`,
  (value) => `Cookie: ${value}`,
  () => `X: ${'y'.repeat(20_000)}`,
  () => Array.from({ length: 300 }, (_, i) => `X-${i}: ${i}`).join('\r\n'),
  () => ' folded: header',
  () => 'no colon',
  () => 'Bad Name: 1',
];

/** Text that would disclose the server's software. */
const TELLTALE = /x-powered-by|^server:|express|node[/.]|node_modules|\bat .*:\d+:\d+/im;

/** Node's own warning about an unusual host, once per process. It is harmless. */
const ODD_HOST = /^\(node:\d+\) \[DEP0170\] .*\n\(Use `node --trace-deprecation .*\n$/;

/** Room for compiled code and caches, which do not depend on the number of requests. */
const HEAP_GROWTH_BYTES = 2e6;

/** Random requests, valid and invalid: the server keeps running, and no answer discloses its software. */
export async function fuzz(requests: number, seed: number): Promise<Outcome> {
  const server = await startProbed({ env: { MAX_CONNECTIONS: '2', TICK_MS: '10' } });
  try {
    const dice = generator(seed);
    const paths = [...PATHS, await scriptOf(server.port)];
    const statuses = new Map<string, number>();
    const throwAll = async (n: number): Promise<void> => {
      await many(n, () => throwOne(server.port, one(dice, paths), statuses), 400);
      await eventually('all sockets closed', async () => (await server.figures()).sockets === 0);
    };
    for (const path of ESCAPES) {
      const answer = await ask(server.port, request('GET', path, 'Connection: close'));
      same(`answer to ${path}`, answer.slice(0, 12), 'HTTP/1.1 404');
    }
    await throwAll(requests / 10); // warm-up, so that code is compiled
    const before = await server.figures('collect');
    await throwAll(requests);
    await eventually(
      'all descriptors closed',
      async () => (await server.figures()).descriptors <= before.descriptors,
    );
    const after = await server.figures('collect');
    atMost('heap, bytes', after.heapBytes, before.heapBytes + HEAP_GROWTH_BYTES);
    atMost('timers left', after.timers, before.timers);
    const health = await ask(server.port, request('GET', '/health', 'Connection: close'));
    same('health', health.slice(health.indexOf('{')), '{"status":"ok","connections":0}');
    const errors = server.errors();
    if (errors !== '' && !ODD_HOST.test(errors))
      throw new Error(`standard error: expected nothing, found ${errors}`);
    const counts = [...statuses].toSorted().map(([status, n]) => `${status}: ${n}`);
    return {
      cases: requests,
      beforeBytes: before.heapBytes,
      afterBytes: after.heapBytes,
      found: `answers ${counts.join(', ')}; nothing on standard error; heap after a forced collection`,
    };
  } finally {
    await server.stop();
  }
}

async function throwOne(port: number, text: string, statuses: Map<string, number>): Promise<void> {
  const received = await ask(port, text, isStream, 300);
  try {
    check(received, statuses);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}, in ${JSON.stringify(received)}, the answer to ${JSON.stringify(text)}`, {
      cause,
    });
  }
}

function one(dice: Random, paths: string[]): string {
  const { below } = dice;
  if (below(20) === 0) {
    const bytes = Array.from({ length: below(300) }, () => String.fromCharCode(below(256)));
    return `${bytes.join('')}\r\n\r\n`;
  }
  let text = '';
  for (let left = 1 + (below(4) === 0 ? below(5) : 0); left > 0; left--) {
    const query = below(3) === 0 ? `?lastEventId=${dice.one(IDS)}` : '';
    const version =
      below(20) === 0 ? dice.one(['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'HTP', '']) : 'HTTP/1.1';
    const host = below(40) === 0 ? [] : ['Host: localhost'];
    const headers = Array.from({ length: below(3) }, () => dice.one(HEADERS)(dice.one(IDS)));
    if (left === 1) headers.push('Connection: close');
    text += `${dice.one(METHODS)} ${dice.one(below(20) === 0 ? ESCAPES : paths)}${query} ${version}\r\n${[...host, ...headers].join('\r\n')}\r\n\r\n`;
  }
  if (below(10) === 0) text = text.slice(0, below(text.length)); // half a request
  if (below(30) === 0) text += '5\r\nhello\r\n0\r\n\r\n';
  return text;
}

/** A stream does not end by itself, so its client leaves. */
function isStream(received: string): boolean {
  return /\r\n\r\n[\da-f]+\r\nretry: \d+\n\n/.test(received);
}

function check(received: string, statuses: Map<string, number>): void {
  for (const [, status = ''] of received.matchAll(/HTTP\/1\.1 (\d+) /g)) {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status.startsWith('5')) same('server error', status, '503');
  }
  // The text of the page, or of a part of it, is not looked at.
  const said = received
    .split(/(?=HTTP\/1\.1 \d)/)
    .map((answer) => (/^HTTP\/1\.1 20[06]/.test(answer) ? answer.split('\r\n\r\n')[0] : answer));
  const telltale = TELLTALE.exec(said.join(''));
  if (telltale) throw new Error(`answer: expected nothing about the program, found ${telltale[0]}`);
}
