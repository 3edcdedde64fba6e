import { describe, expect, test } from 'vitest';
import { isBrowserMissing } from './support/browser.ts';
import { devPage } from './support/devPage.ts';
import { runDevServer } from './support/processes.ts';
import { serverProcess } from './support/testServer.ts';

describe.skipIf(isBrowserMissing())('under npm run dev', () => {
  const { page, edit, fetch } = devPage();

  test('an edit of the server takes effect by itself, and the count goes on without a reload', async () => {
    await edit('server/app.ts', (text) => text.replace("'ok'", "'edited'"));
    await expect
      .poll(async () => (await (await fetch('/health')).json()).status, { timeout: 5000 })
      .toBe('edited');
  });

  test.each([
    ['client/App.tsx', (text: string) => text.replace('<h1>', '<h1>Edited: ')],
    ['client/Responses.tsx', (text: string) => `${text}// edited`],
    ['client/useEventSource.ts', (text: string) => `${text}// edited`],
    ['client/subscribe.ts', (text: string) => `${text}// edited`],
    ['client/index.css', (text: string) => `${text}h1 { letter-spacing: 7px; }`],
  ])('an edit of %s updates the page in place, and the count goes on', async (file, change) => {
    const updated = page().waitForResponse((response) => new URL(response.url()).searchParams.has('t'));
    await Promise.all([updated, edit(file, change)]);
  });

  test('the edits of the page are on it', async () => {
    const heading = page().getByRole('heading', { level: 1 });
    expect(await heading.textContent()).toMatch(/^Edited: /);
    expect(await heading.evaluate((h1) => getComputedStyle(h1).letterSpacing)).toBe('7px');
  });
});

test('npm run dev with a bad PORT, or one in use, says so in one line and exits with 1', async () => {
  const bad = await runDevServer({ PORT: 'abc' });
  expect(bad).toMatchObject({
    code: 1,
    output: 'PORT: expected a whole number from 0 to 65535, found "abc"\n',
  });
  const { port } = await serverProcess();
  const taken = await runDevServer({ PORT: String(port), HOST: '0.0.0.0' });
  expect(taken).toMatchObject({
    code: 1,
    output: expect.stringContaining(
      `PORT: expected a free one, found ${port} in use; try PORT=${port + 1} npm run dev\n`,
    ),
  });
});
