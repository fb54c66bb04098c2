import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { modelsPage, operatorRows } from '../../src/compression/formats/catalogue.ts';

it('docs/models.md says what the tables say (else: npm run docs)', () => {
  expect(readFileSync(join(import.meta.dirname, '../../docs/models.md'), 'utf8')).toBe(modelsPage());
});

it('lists each operator once', () => {
  const names = operatorRows().map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('Conv');
});
