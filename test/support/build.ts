/** Updates dist/ before any test, since tests start the service's processes from there. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../../src/process/entry.ts';

export default function setup(): void {
  execFileSync(process.execPath, [join(projectRoot, 'scripts', 'build.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
