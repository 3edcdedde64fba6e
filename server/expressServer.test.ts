import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import express from 'express';
import { expect, test } from 'vitest';
import { createExpressServer } from './expressServer.ts';
import { request } from '../test/support/rawHttp.ts';
import { listen } from '../test/support/testServer.ts';

test('all requests share a hidden class, and so do all responses', async () => {
  const met: object[][] = [];
  const app = express().get('/', (req, res) => res.json(met.push([req, res])));
  const server = await listen(createExpressServer(app));
  // V8 watches the first objects of a class before it settles on a size.
  for (let i = 0; i < 20; i += 1) await server.send(request('GET', '/', 'Connection: close')).closed;

  const [[req1, res1] = [], [req2, res2] = []] = met.slice(-2);
  expect(req2).toMatchObject({ next: undefined }); // it would keep Express's chain of handlers
  expect(haveSameHiddenClass(req1, req2)).toBe(true);
  expect(haveSameHiddenClass(res1, res2)).toBe(true);
});

test('what Express adds to them is there', async () => {
  const app = express().get('/', (req, res) => void res.json([req.query, req.app === app, res.app === app]));
  const server = await listen(createExpressServer(app));
  const answer = await server.send(request('GET', '/?a=b', 'Connection: close')).closed;
  expect(answer).toMatch(/\r\n\r\n\[\{"a":"b"\},true,true\]$/);
});

function haveSameHiddenClass(a: unknown, b: unknown): boolean {
  setFlagsFromString('--allow-natives-syntax');
  const same: boolean = runInNewContext('%HaveSameMap(a, b)', { a, b });
  setFlagsFromString('--no-allow-natives-syntax');
  return same;
}
