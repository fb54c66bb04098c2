import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configurationPage } from './page.ts';

const root = join(import.meta.dirname, '../..');
/** Of the compiled engine and of compose.yaml alone. */
const ELSEWHERE = ['LATHE_KERNELS', 'LATHE_ENGINE_BUILD', 'LATHE_DB_PASSWORD', 'LATHE_CACHE'];

test('docs/configuration.md says what the schema says (else: npm run docs)', () => {
  expect(readFileSync(join(root, 'docs/configuration.md'), 'utf8')).toBe(configurationPage());
});

test.each(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'compose.yaml', 'Dockerfile'])(
  '%s names only variables that exist',
  (path) => {
    const names = readFileSync(join(root, path), 'utf8').match(/\b(LATHE_[A-Z0-9_]+|DATABASE_URL|REDIS_URL)\b/g) ?? [];
    for (const name of names) if (!ELSEWHERE.includes(name)) expect(configurationPage()).toContain(`| \`${name}\` |`);
  },
);
