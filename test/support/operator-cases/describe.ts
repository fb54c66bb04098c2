/** The tests of operators, run once per engine (a process holds one engine). */
import { beforeAll, describe, expect, test } from 'vitest';
import { startEngine, type EngineChoice } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import type { OperatorCase } from './case.ts';
import { checkForward, checkGradient } from './check.ts';

export function describeOperators(engine: EngineChoice, cases: readonly OperatorCase[]): void {
  beforeAll(async () => {
    await startEngine(engine, { threads: 1 });
  });

  const byType = new Map<string, OperatorCase[]>();
  for (const item of cases) byType.set(item.type, [...(byType.get(item.type) ?? []), item]);
  describe.each([...byType])('%s', (_, items) => {
    test.each(items.map((item) => [item.note, item] as const))('computes %s', async (_note, item) =>
      checkForward(item),
    );
    const smooth = items.filter((item) => item.differentiable);
    if (smooth.length === 0) return;
    test.each(smooth.map((item) => [item.note, item] as const))('differentiates %s', (_note, item) => {
      checkGradient(item);
      if (item.image) checkGradient(item, true);
    });
  });

  test('no case leaves tensors behind', () => expect(tf.memory().numTensors).toBe(0));
}
