import { once } from 'node:events';
import { join } from 'node:path';
import { createApp } from '../server/app.ts';
import { launchBrowser, untilShown } from './support/browser.ts';

// README's pictures: the built page after a cut. Run `npm run build`, then `node --import tsx
// test/screenshots.ts`. Port 7000, which is in the pictures, must be free.
const { app } = createApp({ pageFolder: join(import.meta.dirname, '..', 'dist') });
const server = app.listen(7000, 'localhost');
await once(server, 'listening');
const browser = await launchBrowser();
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({
      viewport: { width: 768, height: 540 },
      deviceScaleFactor: 1.5,
      colorScheme,
      reducedMotion: 'reduce',
    });
    await page.goto('http://localhost:7000');
    await untilShown(page, 5);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await untilShown(page, 9);
    await page.mouse.move(0, 0);
    await page.screenshot({ path: join(import.meta.dirname, 'screenshots', `${colorScheme}.png`) });
  }
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}
