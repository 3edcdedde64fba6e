import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DRIVERS } from './browsers/drivers.ts';

for (const { name, missing } of DRIVERS) {
  test(`${name}: the page goes on after a kill, a pause, back and forward`, ({ skip }) => {
    skip(missing !== undefined, `${missing} is not installed`);
    // Node 20 has no WebSocket without the flag.
    const command = [
      '--experimental-websocket',
      '--import',
      'tsx',
      join(import.meta.dirname, 'browsers/run.ts'),
    ];
    expect(execFileSync(process.execPath, [...command, name], { encoding: 'utf8' })).toContain(
      `${name}: goes on`,
    );
  });
}
