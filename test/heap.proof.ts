import { expect, test } from 'vitest';
import { lastEventId, openEventStream } from '../server/eventStream.ts';
import { isBrowserMissing, untilShown } from './support/browser.ts';
import { builtPage, serve } from './support/builtPage.ts';
import { untilStatus } from './support/shown.ts';

const { open } = builtPage();

test.skipIf(isBrowserMissing())(
  'the built page has a steady heap after half an hour of messages',
  async () => {
    // Five at a time, because only the page is measured here: one by one they cost the server twice as much.
    const url = await serve((req, res) =>
      openEventStream(req, res, (stream) => {
        let n = Number(lastEventId(req));
        const timer = setInterval(() => {
          for (let i = 0; i < 5; i++) stream.send({ id: ++n, data: n });
        }, 20);
        return () => clearInterval(timer);
      }),
    );
    const { page } = await open(url);
    const session = await page.context().newCDPSession(page);
    await page.setViewportSize({ width: 400, height: 10 }); // little to draw
    const heapAt = async (n: number): Promise<number> => {
      await untilShown(page, n);
      // Paused, because between the collection and the look frames would leave new garbage.
      await page.getByRole('button', { name: 'Pause' }).press('Enter');
      await untilStatus(page, /^Paused$/);
      await page.evaluate(() => (window.shown.length = 0)); // the test's own record
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      await page.getByRole('button', { name: 'Resume' }).press('Enter');
      return usedSize;
    };
    const early = await heapAt(400);
    const late = await heapAt(400 + 1800);
    expect(late / early).toBeLessThan(1.1);
  },
);
