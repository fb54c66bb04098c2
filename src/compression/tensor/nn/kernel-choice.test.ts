/** The choice of kernels against the tables that `npm run bench -- kernels` has left, by instruction set. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../project-root.ts';
import type { KernelSet } from '../native/binding.ts';
import { convKernels, LIMITS } from './kernel-choice.ts';
import type { ConvPass, ConvSizes } from './kernel-choice.ts';

interface Row {
  readonly operation: string;
  readonly conv?: ConvSizes;
  readonly shape: string;
  readonly ms: Readonly<Record<string, number>>;
}

/**
 * What a choice may cost more than the best of a row: rows are single operations of a few milliseconds, whose times
 * move by this much from run to run.
 */
const MAX_LOSS = 0.35;
/** Of all rows together. */
const MAX_TOTAL_LOSS = 0.05;

const PASSES: Readonly<Record<string, ConvPass>> = {
  forward: 'forward',
  'input gradient': 'inputGradient',
  'kernel gradient': 'kernelGradient',
};
const folder = join(projectRoot, 'bench', 'results');
const tables = readdirSync(folder)
  .filter((name) => /^kernels-.*\.json$/.test(name))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as { kernels: KernelSet; rows: Row[] });

describe.each(tables)('kernels for $kernels', ({ kernels, rows }) => {
  const chosen = rows.map((row) => ({
    ...row,
    best: Math.min(...Object.values(row.ms)),
    time: row.ms[choiceFor(row, kernels)]!,
  }));
  test('none costs much more than the best', () => {
    for (const { operation, shape, best, time } of chosen)
      expect({ operation, shape, lost: time > 0.2 && time / best > 1 + MAX_LOSS ? time / best : 0 }).toEqual({
        operation,
        shape,
        lost: 0,
      });
  });
  test('all together cost little more than the best', () => {
    const sum = (pick: (row: (typeof chosen)[number]) => number) => chosen.reduce((total, row) => total + pick(row), 0);
    expect(sum(({ time }) => time) / sum(({ best }) => best)).toBeLessThan(1 + MAX_TOTAL_LOSS);
  });
});

test('there is a table for the instruction set whose limits differ from the rest', () => {
  expect(tables.map(({ kernels }) => kernels)).toContain('avx2');
});

function choiceFor({ operation, conv, ms }: Row, set: KernelSet): string {
  const pass = PASSES[operation];
  if (!pass || !conv)
    return (operation.startsWith('depthwise') ? LIMITS[set].depthwise : LIMITS[set].products) ? 'own' : 'tensorflow';
  const choice = convKernels(pass, conv, set);
  return choice in ms ? choice : 'tensorflow';
}
