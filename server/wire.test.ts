import { beforeEach } from 'vitest';
import { createApp } from './app.ts';
import { listen } from '../test/support/testServer.ts';
import { wireChecks } from '../test/support/wireChecks.ts';

let origin = '';
beforeEach(async () => {
  const { port } = await listen(createApp({ tickMs: 10 }).app);
  origin = `http://127.0.0.1:${port}`;
});

wireChecks(() => origin);
