/** Local steps of a worker on host values: batch after batch by its own optimizer, then how far it came. */
import type { Pulled } from './parameter-server.ts';
import { copyTensors, valuesOf, type Tensors } from './tensors.ts';
import { meanLosses, type WorkerResult } from './worker-result.ts';
import type { UpdateRule } from './update-rule.ts';
import type { WorkUnit } from './work-queue.ts';

/** The gradient of one batch at some weights; a contribution of its own. */
export type GradientOf = (at: Pick<Pulled, 'values' | 'statistics'>, batch: number) => Promise<WorkerResult>;

/** @param rule keeps the worker's state from one unit to the next, as in DiLoCo */
export async function takeLocalSteps(
  pulled: Pulled,
  { batches }: WorkUnit,
  {
    rule,
    learningRate,
    gradientOf,
  }: { rule: UpdateRule; learningRate: (step: number) => number; gradientOf: GradientOf },
): Promise<WorkerResult> {
  const values = copyTensors(pulled.values);
  let statistics = pulled.statistics;
  const results: WorkerResult[] = [];
  for (const batch of batches) {
    const result = await gradientOf({ values, statistics }, batch);
    rule.apply(values, result.contribution.gradient, {
      step: batch,
      learningRate: learningRate(batch),
      contributions: 1,
      members: 1,
    });
    statistics = result.contribution.statistics;
    results.push(result);
  }
  const samples = results.reduce((sum, { contribution }) => sum + contribution.samples, 0);
  const gradient = difference(pulled.values, values);
  return { contribution: { gradient, statistics, samples }, losses: meanLosses(results, samples) };
}

/** before - after */
export function difference(before: Tensors, after: Tensors): Tensors {
  return new Map(
    [...before].map(([name, values]) => {
      const end = valuesOf(after, name, values.length);
      return [name, values.map((value, i) => value - end[i]!)];
    }),
  );
}
