import { afterEach, expect, test, vi } from 'vitest';
import { readSettings } from './settings.ts';

afterEach(() => vi.unstubAllEnvs());

test.each([
  ['PORT', 'abc', 'PORT: expected a whole number from 0 to 65535, found "abc"'],
  ['PORT', '70000', 'PORT: expected a whole number from 0 to 65535, found "70000"'],
  ['MAX_CONNECTIONS', '-1', 'MAX_CONNECTIONS: expected a whole number from 1 to 1000000, found "-1"'],
  ['TICK_MS', '9', 'TICK_MS: expected a whole number from 10 to 3600000, found "9"'],
  ['TICK_MS', '1.5', 'TICK_MS: expected a whole number from 10 to 3600000, found "1.5"'],
  [
    'CORS_ORIGIN',
    'example.com',
    'CORS_ORIGIN: expected * or origins like https://example.com, found "example.com"',
  ],
])('a bad setting says what was expected and what came: %s=%s', (name, value, line) => {
  vi.stubEnv(name, value);
  expect(() => readSettings()).toThrow(new Error(line));
});

test('settings are read from the environment, and an empty one counts as missing', () => {
  const set = {
    PORT: '8000',
    HOST: '::1',
    CORS_ORIGIN: 'https://a.example, https://b.example:8443',
    MAX_CONNECTIONS: '1000000',
    TICK_MS: '10',
  };
  for (const [name, value] of Object.entries(set)) vi.stubEnv(name, value);
  expect(readSettings()).toEqual({
    port: 8000,
    host: '::1',
    corsOrigin: ['https://a.example', 'https://b.example:8443'],
    maxConnections: 1_000_000,
    tickMs: 10,
  });
  for (const name of Object.keys(set)) vi.stubEnv(name, '');
  expect(readSettings()).toEqual({
    port: 7000,
    host: undefined,
    corsOrigin: '*',
    maxConnections: 10_000,
    tickMs: 1000,
  });
});
