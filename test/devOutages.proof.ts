import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isBrowserMissing } from './support/browser.ts';
import { devPage } from './support/devPage.ts';
import { expectToGoOn } from './support/shown.ts';
import { eventually } from './support/testServer.ts';

describe.skipIf(isBrowserMissing())('under npm run dev', () => {
  const { page, folder, edit, fetch } = devPage();

  test('a server file edited ten times in a row loses nothing and leaves one connection', async () => {
    for (let i = 0; i < 10; i++) {
      await edit('server/count.ts', (text) => `${text}// edit ${i}\n`);
      // Some edits meet an open stream, some a client that is on its way back.
      if (i % 3 === 0) await expectToGoOn(page(), 1);
    }
    await expectToGoOn(page(), 2);
    await expect
      .poll(async () => (await (await fetch('/health')).json()).connections, { timeout: 5000 })
      .toBe(1);
  });

  test.each([
    ['does not compile', 'server/count.ts', (text: string) => `${text}const const;`],
    ['has a bad setting', 'server/settings.ts', (text: string) => text.replace('10_000, 1,', '0, 1,')],
    ['throws in a timer', 'server/app.ts', (text: string) => `${text}setInterval(() => thrown, 50);`],
  ])(
    'server code that %s is an outage of the stream, not of the page, and its correction ends it',
    async (_what, file, change) => {
      const restore = await edit(file, change);
      await eventually(async () => (await fetch('/health')).status === 500);
      expect((await fetch('/')).status).toBe(200);
      await page().getByRole('status').getByText('reconnecting').waitFor();
      await restore();
      await eventually(async () => (await fetch('/health')).status === 200);
    },
  );

  test('an import of a missing file is an outage that the new file ends', async () => {
    await edit('server/app.ts', (text) => `import './new.ts';\n${text}`);
    await eventually(async () => (await fetch('/health')).status === 500);
    await writeFile(join(folder(), 'server', 'new.ts'), '');
    await eventually(async () => (await fetch('/health')).status === 200);
  });
});
