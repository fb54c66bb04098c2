/** What analyze tries on a layer equals, bit for bit, the result of prune-weights and quantize. */
import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { foldConstants } from '../../../src/compression/graph/passes/fold-constants.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { hostNumbers, toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { applyTrial, triedWeights } from '../../../src/compression/techniques/analyze/trials.ts';
import { apply as prune } from '../../../src/compression/techniques/prune-weights/apply.ts';
import {
  spec as pruneSpec,
  type PruneWeightsParameters,
} from '../../../src/compression/techniques/prune-weights/spec.ts';
import { apply as quantize } from '../../../src/compression/techniques/quantize/apply.ts';
import { spec as quantizeSpec, type QuantizeParameters } from '../../../src/compression/techniques/quantize/spec.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { contextFor, initialState } from '../../support/steps.ts';

interface Case {
  readonly dims: readonly number[];
  readonly nodes: readonly Node[];
  readonly input: readonly (number | string)[];
}

const CASES: Readonly<Record<string, Case>> = {
  'a convolution': { dims: [8, 4, 3, 3], nodes: [makeNode('Conv', ['x', 'w'], ['y'])], input: ['n', 4, 9, 9] },
  'a grouped convolution': {
    dims: [8, 2, 3, 3],
    nodes: [makeNode('Conv', ['x', 'w'], ['y'], { group: 2 })],
    input: ['n', 4, 9, 9],
  },
  'a transposed convolution': {
    dims: [4, 8, 3, 3],
    nodes: [makeNode('ConvTranspose', ['x', 'w'], ['y'])],
    input: ['n', 4, 9, 9],
  },
  'a MatMul': { dims: [16, 12], nodes: [makeNode('MatMul', ['x', 'w'], ['y'])], input: ['n', 16] },
  'a Gemm': { dims: [16, 12], nodes: [makeNode('Gemm', ['x', 'w'], ['y'])], input: ['n', 16] },
  'a Gemm with transB': {
    dims: [12, 16],
    nodes: [makeNode('Gemm', ['x', 'w'], ['y'], { transB: 1 })],
    input: ['n', 16],
  },
  'a weight that is transposed first': {
    dims: [12, 16],
    nodes: [makeNode('Transpose', ['w'], ['t'], { perm: [1, 0] }), makeNode('MatMul', ['x', 't'], ['y'])],
    input: ['n', 16],
  },
  'a weight used along both axes': {
    dims: [12, 12],
    nodes: [makeNode('Gemm', ['x', 'w'], ['h'], { transB: 1 }), makeNode('Gemm', ['h', 'w'], ['y'])],
    input: ['n', 12],
  },
};

function modelFor({ dims, nodes, input }: Case): Model {
  const count = dims.reduce((product, size) => product * size, 1);
  // channels of very different size, so that a scale of another axis gives other codes
  const values = spread(count, 7).map((item, i) => item * (1 + (i % 11)) * (1 + Math.floor(i / 13)));
  return modelOf({
    nodes,
    initializers: [tensor('w', dims, values)],
    inputs: [value('x', input)],
    outputs: [value('y', null)],
  });
}

/** The weight `w` of a model in which it may be unpacked by nodes. */
function weightOf(model: Model): number[] {
  const folded = foldConstants(model, { where: ({ opType }) => opType !== 'Transpose' });
  return hostNumbers(toHost(folded.graph.initializers.get('w')!));
}
const numbers = (weight: Tensor): number[] => hostNumbers(toHost(weight));
const defaults = (given: object, schema: typeof pruneSpec.parameters | typeof quantizeSpec.parameters): unknown =>
  Value.Default(schema, { ...given });

describe.each(Object.entries(CASES))('%s', (_name, given) => {
  const model = modelFor(given);
  const [weight] = triedWeights(model);

  test('int8 is that of quantize, weight-only', async () => {
    const parameters = defaults({ method: 'weight-only' }, quantizeSpec.parameters) as QuantizeParameters;
    const { model: after } = await quantize(initialState(model), parameters, contextFor(model, null));
    const tried = numbers(applyTrial(weight!, { kind: 'int8', sparsity: null }));
    expect(tried).not.toEqual(numbers(weight!.tensor));
    expect(tried).toEqual(weightOf(after));
  });

  test.each([0.3, 0.5, 0.9])('sparsity %d is that of prune-weights', async (sparsity) => {
    const step = { sparsity, scope: 'layer', epochs: 0 };
    const parameters = defaults(step, pruneSpec.parameters) as PruneWeightsParameters;
    const { model: after } = await prune(initialState(model), parameters, contextFor(model, null));
    const tried = numbers(applyTrial(weight!, { kind: 'prune', sparsity }));
    expect(tried.filter((item) => item === 0)).toHaveLength(Math.round(sparsity * tried.length));
    expect(tried).toEqual(weightOf(after));
  });
});
