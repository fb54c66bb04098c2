import { describe, expect, test } from 'vitest';

import { planModel } from '../../network/lower.ts';
import type { NetworkParts } from '../../network/network-parts.ts';
import { makeNode as node } from '../../ir/edit.ts';
import type { Model } from '../../ir/types.ts';
import { leNet, resNet, twoTowers } from '../../../../test/support/staged-networks.ts';
import { modelOf, value } from '../../../../test/support/graphs.ts';
import { randomTensor } from '../../../../test/support/models.ts';

import { estimateCosts, measuredCosts } from './costs.ts';
import { planParallel, type ParallelPlan } from './plan.ts';

const partsOf = (model: Model): NetworkParts => {
  const planned = planModel(model);
  if (!planned.ok) throw new Error('the model is trainable');
  return planned.parts;
};

const ROWS = 8;

/** Two towers of `depth` products of [8, width] with [width, width], whose sum is the result. */
const towers = (depth: number, width: number): Model =>
  modelOf({
    nodes: [
      ...['a', 'b'].flatMap((side) =>
        Array.from({ length: depth }, (_, i) =>
          node('MatMul', [i === 0 ? 'x' : `${side}${i - 1}`, `${side}.w${i}`], [`${side}${i}`]),
        ),
      ),
      node('Add', [`a${depth - 1}`, `b${depth - 1}`], ['y']),
    ],
    initializers: ['a', 'b'].flatMap((side) =>
      Array.from({ length: depth }, (_, i) => randomTensor(`${side}.w${i}`, [width, width], i)),
    ),
    inputs: [value('x', [ROWS, width])],
    outputs: [value('y', null)],
  });

interface PlanOptions {
  readonly mode?: 'pipeline' | 'branch';
  readonly parts?: number;
  readonly microBatches?: number;
}

function plan(
  model: Model,
  shape: readonly number[],
  { mode = 'pipeline', parts = 2, microBatches = 8 }: PlanOptions = {},
): ParallelPlan {
  const network = partsOf(model);
  const costs = estimateCosts(network, new Map([['x', shape]]));
  return planParallel(network, { mode, parts, microBatches, fetch: [], costs });
}

describe('costs', () => {
  test('of a product are its multiply-accumulates, and what it writes', () => {
    const network = partsOf(towers(1, 16));
    const { instructions } = estimateCosts(network, new Map([['x', [ROWS, 16]]]));
    expect(instructions.map(({ work }) => work)).toEqual([2048 + 32 * 128, 2048 + 32 * 128, 32 * 128]);
    expect(instructions[0]!.outputBytes).toEqual([512]);
  });

  test('measured times take the place of estimates', () => {
    const network = partsOf(towers(1, 16));
    const measured = measuredCosts(estimateCosts(network, new Map([['x', [ROWS, 16]]])), [3, 2, 1], 1e6);
    expect(measured.instructions.map(({ work }) => work)).toEqual([3, 2, 1]);
    expect(measured.workPerByte).toBe(1e-6);
  });
});

describe('a pipeline', () => {
  test.each([2, 3])('of a ResNet in %i parts is balanced within a fifth, and holds less in each', (parts) => {
    const found = plan(resNet.model(), [16, 3, 32, 32], { parts, microBatches: 4 * parts });
    expect(found.stages.map(({ part }) => part)).toEqual([0, 1, 2].slice(0, parts));
    expect(found.utilisation).toBeGreaterThan(0.6);
    for (const bytes of found.memoryBytes) expect(bytes).toBeLessThan(0.75 * found.wholeMemoryBytes);
    expect(found.crossingBytes).toBeGreaterThan(0);
  });

  test('says that replicas are faster where weights are few', () => {
    expect(plan(resNet.model(), [16, 3, 32, 32]).advice).toMatch(/^"pipeline" does not pay for speed: .*use sync/);
  });

  test('pays where gradients of all weights would be more than the work', () => {
    expect(plan(towers(4, 512), [ROWS, 512], { microBatches: 4 }).advice).toBeNull();
  });

  test('more stages than instructions are as many as there are', () => {
    expect(plan(towers(1, 4), [ROWS, 4], { parts: 9 }).stages).toHaveLength(3);
  });
});

describe('branches', () => {
  const found = plan(towers(4, 512), [ROWS, 512], { mode: 'branch', microBatches: 1 });

  test('of two towers run side by side, a tower on each part', () => {
    expect(found.stages.filter(({ receives }) => receives.length === 0).map(({ part }) => part)).toEqual([0, 1]);
    expect(found.stages.at(-1)!.receives).toHaveLength(2);
    expect(found.speedup).toBeGreaterThan(1.2);
  });

  test('a chain has none: one part does it all, and the advice says so', () => {
    const chain = plan(leNet.model(), [16, 1, 28, 28], { mode: 'branch' });
    expect(chain.stages).toEqual([{ part: 0, receives: [] }]);
    expect(chain.advice).toMatch(/The graph has work for 1 of 2 parts\.$/);
  });

  test('small branches stay together: what crosses would take longer', () => {
    const network = partsOf(twoTowers.model());
    const shapes = new Map(['user', 'item'].map((name) => [name, [5, 4]]));
    const options = { mode: 'branch', parts: 2, microBatches: 1, fetch: [] } as const;
    const small = planParallel(network, { ...options, costs: estimateCosts(network, shapes) });
    expect(small.crossingBytes).toBeLessThan(1000);
  });
});
