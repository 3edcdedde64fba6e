import { describe, expect, test } from 'vitest';
import { isBrowserMissing } from './support/browser.ts';
import { inWords, runChaos } from './chaos/run.ts';
import { isNginxMissing } from './support/nginx.ts';
import { randomSeed } from './support/random.ts';

describe.skipIf(isNginxMissing() || isBrowserMissing())('two servers behind nginx', () => {
  test('lose no number and repeat none, whatever happens to them, to the network and to the tabs', async () => {
    const seed = Number(process.env['CHAOS_SEED'] ?? randomSeed());
    console.log(`CHAOS_SEED=${seed}`);
    // One round of everything; test/chaos/run.ts is the long form.
    const report = await runChaos({ seconds: 0, seed });
    console.log(inWords(report));
    expect(new Set(report.happened)).toEqual(
      new Set(['start', 'kill', 'terminate', 'stop', 'outage', 'cut', 'freeze', 'pause', 'offline']),
    );
  });
});
