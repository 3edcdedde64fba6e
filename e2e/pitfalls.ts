// The table of pitfalls in README: takes the handling of each out of a copy of the project, one at a time, and sees the
// test that guards it fail.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyProject } from './support/copyProject.ts';

/** Where a pitfall is handled, and the test that fails without it. */
export interface Pitfall {
  file: string;
  /** The code that handles it, and what stands there without it. */
  code: string;
  without: string;
  testFile: string;
  /** The test's title, or how it begins. */
  test: string;
}

const stream = { file: 'server/eventStream.ts', testFile: 'server/eventStream.test.ts' };
const source = { file: 'client/subscribe.ts', testFile: 'client/subscribe.test.ts' };
const hook = { file: 'client/useEventSource.ts', testFile: 'client/useEventSource.test.ts' };

/** In the order of README's table. */
export const PITFALLS: readonly Pitfall[] = [
  {
    file: 'server/eventStream.ts',
    code: "res.once('close', source(new Stream(res, socket)));",
    without: 'source(new Stream(res, socket));',
    testFile: 'server/app.test.ts',
    test: 'a client that leaves takes its timers and its place with it',
  },
  {
    file: 'server/count.ts',
    code: '((now + steps) / steps) * intervalMs - performance.now()',
    without: 'intervalMs',
    testFile: 'server/count.test.ts',
    test: 'a thousand numbers with timers that are always late do not drift',
  },
  {
    file: 'server/eventStream.ts',
    code: 'no-cache, no-transform',
    without: 'no-cache',
    testFile: 'server/app.test.ts',
    test: 'under compression the first number still arrives when it is due',
  },
  {
    file: 'server/eventStream.ts',
    code: "'X-Accel-Buffering': 'no',",
    without: '',
    testFile: 'e2e/nginx.test.ts',
    test: 'frames arrive one by one, compressed',
  },
  {
    ...stream,
    code: 'this.#socket.writableLength > MAX_BUFFERED_BYTES',
    without: 'false',
    test: 'gets what waits for it and is sent away when that is more than the limit',
  },
  {
    ...stream,
    code: 'socket.writableLength > 0 ? socket.destroy() : socket.setTimeout(0)',
    without: 'socket.setTimeout(0)',
    test: 'is cut when it takes nothing for the documented time',
  },
  { ...stream, code: "value === '' || /\\p{Cc}/u.test(value)", without: 'false', test: 'refuses' },
  {
    ...stream,
    code: "if (res.socket) process.nextTick(start);\n  else res.once('socket', () => process.nextTick(start));",
    without: 'process.nextTick(start);',
    test: 'are answered in turn, the stream after what came before it',
  },
  {
    file: 'server/eventStream.ts',
    code: "req.method === 'HEAD'",
    without: 'false',
    testFile: 'server/app.test.ts',
    test: 'HEAD gets the headers and ends',
  },
  {
    file: 'server/main.ts',
    code: '  drain();\n',
    without: '',
    testFile: 'server/main.test.ts',
    test: 'every stream ends with a retry and the exit code is 0',
  },
  {
    file: 'server/app.ts',
    code: 'Math.random() * windowMs',
    without: 'windowMs',
    testFile: 'server/app.test.ts',
    test: 'ends every stream after a reconnection time of its own',
  },
  {
    ...source,
    code: 'if (source?.readyState === EventSource.CLOSED) return backOff();',
    without: '',
    test: 'comes back with ?lastEventId= when the browser has given up after',
  },
  {
    ...source,
    code: 'if (staleAfterMs < Infinity) timer = setTimeout(backOff, staleAfterMs);',
    without: '',
    test: 'replaces a connection that has been silent for too long',
  },
  {
    ...source,
    code: 'if (!source || isWaiting || isSilent || (pauseWhenHidden && isHidden())) connect();',
    without: '',
    test: 'does not wait for the backoff at',
  },
  {
    ...source,
    code: 'listen(END_EVENT, finish);',
    without: '',
    test: 'is closed for good by the event that ends the stream',
  },
  {
    ...hook,
    code: 'return source.pause;',
    without: '',
    test: 'holds one connection under StrictMode and none after the component has gone',
  },
  {
    ...hook,
    code: 'latest.current.on[message.type]',
    without: 'on[message.type]',
    test: 'calls the newest handler, and a new one makes no new connection',
  },
  {
    ...hook,
    code: 'flushSync(() => latest.current.on[message.type]?.(message))',
    without: 'latest.current.on[message.type]?.(message)',
    test: 'renders once a message, also when a hundred arrive at once',
  },
];

/** Whether these tests of the project in `folder` pass. */
async function passes(folder: string, { testFile, test }: Pitfall): Promise<boolean> {
  const pattern = test.replaceAll(/[^\w ]/g, '.');
  const args = ['node_modules/vitest/vitest.mjs', 'run', testFile, '--testNamePattern', pattern];
  // A test that waits for what never comes has failed too; no need to wait as long as on a busy machine.
  const child = spawn(process.execPath, [...args, '--testTimeout', '10000'], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, CI: 'true' },
  });
  const [code] = await once(child, 'exit');
  return code === 0;
}

if (process.argv[1] === import.meta.filename) {
  const folder = await copyProject('e2e', 'dist');
  try {
    for (const pitfall of PITFALLS) {
      const path = join(folder, pitfall.file);
      const text = await readFile(path, 'utf8');
      if (!text.includes(pitfall.code)) throw new Error(`${pitfall.file}: expected ${pitfall.code}`);
      const before = await passes(folder, pitfall);
      await writeFile(
        path,
        text.replace(pitfall.code, () => pitfall.without),
      );
      const after = await passes(folder, pitfall);
      await writeFile(path, text);
      const found = `${before ? 'passes' : 'FAILS'} with it, ${after ? 'PASSES' : 'fails'} without`;
      console.log(`${pitfall.testFile}, “${pitfall.test}”: ${found}`);
      if (!before || after) process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true, maxRetries: 5 });
  }
}
