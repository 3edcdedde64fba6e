import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const projectFolder = join(import.meta.dirname, '..');

/** What every line below may use. */
const HEAD = `
import { subscribe, parse } from ${path('client/subscribe.ts')};
import { json, type EventStream, type Json } from ${path('server/eventStream.ts')};
type OrderEvents = { order: Json<{ item: string; cups: number }>; ping: '' };
declare const orders: EventStream<OrderEvents>;
declare const numbers: EventStream<{ message: number }>;
declare const anything: EventStream;
const tea = { item: 'tea', cups: 2 };
`;

const SOUND = [
  "orders.send({ event: 'order', id: 'a1', data: json(tea) });",
  "orders.send({ event: 'ping', data: '' });",
  'numbers.send({ data: 1 });',
  "numbers.send({ event: 'message', id: String(1), data: 1 });",
  "anything.send({ event: 'note', data: 'a' });",
  "subscribe<OrderEvents>('/orders', { order: ({ data }) => parse(data).cups.toFixed(), ping() {} });",
  "subscribe<{ message: number }>('/count', { message: ({ data }) => Number(data) });",
  "subscribe('/anything', { message: ({ data }) => data.trim(), note: ({ data }) => data.trim() });",
  "interface Ticks { tick: number } subscribe<Ticks>('/ticks', { tick: ({ data }) => data.trim() });",
];

/** What must not compile, and what the compiler says of it. */
const MISUSE: [what: string, code: string, error: string][] = [
  [
    'an unknown event to send',
    "orders.send({ event: 'ordr', data: json(tea) });",
    `Type '"ordr"' is not assignable to type '"order" | "ping"'`,
  ],
  ['no event where each has a name', 'orders.send({ data: json(tea) });', "Property 'event' is missing"],
  [
    'an object of another shape',
    "orders.send({ event: 'order', data: json({ item: 'tea' }) });",
    "Property 'cups' is missing",
  ],
  [
    'text that is no JSON',
    "orders.send({ event: 'order', data: 'tea' });",
    "Type 'string' is not assignable to type",
  ],
  [
    'an id of two lines',
    "orders.send({ event: 'order', id: 'a\\nb', data: json(tea) });",
    `{ expected: "one line"; }`,
  ],
  [
    'an id of two lines, where any event goes',
    "anything.send({ id: 'a\\rb', data: 1 });",
    'expected: "one line"',
  ],
  ['text for a number', "numbers.send({ data: 'one' });", "Type 'string' is not assignable to type 'number'"],
  [
    'an unknown event to hear',
    "subscribe<OrderEvents>('/orders', { order() {}, ping() {}, oder() {} });",
    "'oder' does not exist in type 'Handlers<OrderEvents>'",
  ],
  [
    'a handler for open, which is not an event of the stream',
    "subscribe('/anything', { open() {} });",
    "Type '() => void' is not assignable to type",
  ],
  [
    'a handler for error, which is not either',
    "subscribe<OrderEvents>('/orders', { order() {}, ping() {}, error() {} });",
    "Type '() => void' is not assignable to type",
  ],
  [
    'an event that nobody hears',
    "subscribe<OrderEvents>('/orders', { order() {} });",
    "Property 'ping' is missing",
  ],
  [
    'a property that an object has not',
    "subscribe<OrderEvents>('/orders', { order: ({ data }) => parse(data).cup, ping() {} });",
    "Property 'cup' does not exist",
  ],
  [
    'a handler that wants data instead of a message',
    "subscribe<OrderEvents>('/orders', { order: (order: typeof tea) => order.cups, ping() {} });",
    "Types of parameters 'order' and 'message' are incompatible",
  ],
  [
    'a number where the wire has text',
    "subscribe<{ message: number }>('/count', { message: ({ data }) => data.toFixed() });",
    "Property 'toFixed' does not exist",
  ],
];

/** What the compiler says, by line of code. */
const errors = new Map<string, string>();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'misuse-'));
  const lines = [...HEAD.split('\n'), ...SOUND, ...MISUSE.map(([, code]) => code)];
  await writeFile(join(folder, 'misuse.ts'), lines.join('\n'));
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(projectFolder, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(projectFolder, 'node_modules/@types')], types: ['node'] },
      include: ['misuse.ts'],
    }),
  );
  const tsc = join(projectFolder, 'node_modules/typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '--pretty', 'false', '--project', folder], {
    encoding: 'utf8',
  });
  for (const [, line, text] of stdout.matchAll(/misuse\.ts\((\d+),\d+\): (.*(?:\n .*)*)/g)) {
    const code = lines[Number(line) - 1] ?? '';
    errors.set(code, `${errors.get(code) ?? ''}${text}\n`);
  }
});
afterAll(() => rm(folder, { recursive: true }));

test.each(SOUND)('%s compiles', (code) => {
  expect(errors.get(code)).toBeUndefined();
});

test.each(MISUSE)('%s does not compile, and the compiler says why', (_what, code, error) => {
  expect(errors.get(code)).toContain(error);
});

function path(file: string): string {
  return JSON.stringify(join(projectFolder, file).replaceAll('\\', '/'));
}
