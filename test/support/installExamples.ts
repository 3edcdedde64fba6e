import { execSync } from 'node:child_process';
import { join } from 'node:path';

/** Installs the packages that only the examples need, once before all proofs. */
export function setup(): void {
  execSync('npm install --no-audit --no-fund', {
    cwd: join(import.meta.dirname, '..', '..', 'examples'),
  });
}
