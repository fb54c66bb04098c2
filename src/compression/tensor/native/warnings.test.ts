/** The engine's sources compile without warnings: the build keeps what the compiler said (scripts/engine/addon.mjs). */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { findEngineBuild } from './binding.ts';

const build = await findEngineBuild('cpu');

test.skipIf(!build)('no warning under -Wall -Wextra', () => {
  const record = JSON.parse(readFileSync(join(dirname(build!.addon), 'engine.json'), 'utf8')) as { warnings: string[] };
  expect(record.warnings).toEqual([]);
});
