import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { clientTypesPath, generateClientTypes } from '../../scripts/lib/client-types.mjs';
import { generateDocument } from '../../src/api/openapi/generate.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { DOCUMENT } from '../support/witness.ts';

const written = readFileSync(join(projectRoot, 'openapi.yaml'), 'utf8');

test('openapi.yaml is what the routes say (npm run openapi writes it)', async () => {
  expect((await generateDocument()).yaml).toBe(written);
});

test("the client's types are those of openapi.yaml (npm run openapi writes them)", async () => {
  expect(await generateClientTypes(written)).toBe(readFileSync(clientTypesPath, 'utf8'));
});

test('openapi.yaml is valid OpenAPI 3.1', async () => {
  const validator = new Validator();
  expect(await validator.validate(written)).toMatchObject({ valid: true });
  expect(validator.version).toBe('3.1');
});

test('each operation has an id of its own, a summary, and its errors', () => {
  const operations = Object.values(DOCUMENT.paths).flatMap((methods) => Object.values(methods)) as {
    operationId: string;
    summary?: string;
    responses: object;
  }[];
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const { summary, responses } of operations) {
    expect(summary).toBeTruthy();
    expect(Object.keys(responses)).toContain('default');
  }
});
