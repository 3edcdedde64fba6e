import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { subscribe, type Handlers, type Status } from '../client/subscribe.ts';
import { freePort, launch, listeningOn, type ServerProcess } from './support/processes.ts';
import { eventually } from './support/testServer.ts';

const projectFolder = join(import.meta.dirname, '..');
/** The three files, and a server and a page of another product. */
const COPIED = [
  'server/eventStream.ts',
  'client/subscribe.ts',
  'client/useEventSource.ts',
  'test/copy/server.ts',
  'test/copy/page.tsx',
];

/** Settings of another strict project. */
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    target: 'ES2022',
    module: 'NodeNext',
    jsx: 'react-jsx',
    lib: ['ES2022', 'DOM', 'DOM.Iterable'],
    types: ['node'],
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  },
};

let folder: string;
let server: ServerProcess;

beforeAll(async () => {
  vi.stubGlobal('EventSource', EventSource);
  folder = await mkdtemp(join(tmpdir(), 'copied-'));
  await Promise.all([
    ...COPIED.map(async (file) => {
      const text = await readFile(join(projectFolder, file), 'utf8');
      await writeFile(
        join(folder, basename(file)),
        text.replaceAll(/'\.\.\/\.\.\/\w+\/(\w+\.ts)'/g, "'./$1'"),
      );
    }),
    writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG)),
    writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' })),
    symlink(join(projectFolder, 'node_modules'), join(folder, 'node_modules'), 'junction'),
  ]);
  const port = await freePort();
  const command = [process.execPath, '--import', 'tsx', 'server.ts'];
  server = await listeningOn(port, launch(command, { env: { PORT: String(port) }, folder }));
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await server.stop();
  await rm(folder, { recursive: true, maxRetries: 5 });
});

/** Subscribes until the test has finished, and records what comes. */
function read(
  path: string,
  ...types: string[]
): { messages: [type: string, data: string][]; statuses: Status[] } {
  const messages: [string, string][] = [];
  const statuses: Status[] = [];
  const on: Handlers = Object.fromEntries(
    types.map((name) => [name, ({ type, data }) => messages.push([type, data])]),
  );
  const subscription = subscribe(server.url + path, on, { onStatus: (status) => statuses.push(status) });
  onTestFinished(subscription.close);
  return { messages, statuses };
}

async function untilClosed(statuses: Status[]): Promise<void> {
  await eventually(() => statuses.at(-1)?.state === 'closed');
}

test('the copied files and what uses them compile under strict types', () => {
  const tsc = join(projectFolder, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '--project', folder], { encoding: 'utf8' });
  expect(stdout).toBe('');
});

test('the clock tells the time', async () => {
  const { messages } = read('/clock', 'time');
  await eventually(() => messages.length === 2);
  for (const [, data] of messages) expect(new Date(data).toISOString()).toBe(data);
});

test('the job finishes, and its client does not reconnect', async () => {
  const { messages, statuses } = read('/job', 'message');
  await untilClosed(statuses);
  expect(messages.map(([, data]) => Number(data))).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  expect(statuses.map(({ state }) => state)).toEqual(['connecting', 'open', 'closed']);
});

test('orders are objects with a name', async () => {
  const { messages } = read('/orders', 'order');
  await eventually(() => messages.length === 2);
  expect(messages).toEqual([
    ['order', '{"item":"tea","cups":2}'],
    ['order', '{"item":"mate","cups":1}'],
  ]);
});

test('a handler may pause, and what came in the same chunk comes again when it resumes', async () => {
  const ids: string[] = [];
  const subscription = subscribe(`${server.url}/orders`, {
    order({ lastEventId }) {
      ids.push(lastEventId);
      subscription.pause();
    },
  });
  onTestFinished(subscription.close);
  await eventually(() => ids.length > 0);
  expect(ids).toEqual(['1']);
  subscription.resume();
  await eventually(() => ids.length > 1);
  expect(ids).toEqual(['1', '2']);
});

test.each([
  ['/orders', 1, 'data: {"item":"mate","cups":1}'],
  ['/answer', 3, 'data: "."'],
])('%s goes on after the last event ID', async (path, id, data) => {
  const { body } = await fetch(server.url + path, { headers: { 'Last-Event-ID': String(id) } });
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.includes(data)) break;
  }
  expect(text.match(/^id: .*$/gm)).toEqual([`id: ${id + 1}`]);
});

test('tokens keep their spaces and line ends', async () => {
  const { messages, statuses } = read('/answer', 'message');
  await untilClosed(statuses);
  expect(messages.map(([, data]) => JSON.parse(data)).join('')).toBe('Less is\nmore.');
});
