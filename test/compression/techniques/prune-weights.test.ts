import { beforeAll, describe, expect, test } from 'vitest';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import { makeNode, subgraphs } from '../../../src/compression/ir/edit.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { apply } from '../../../src/compression/techniques/prune-weights/apply.ts';
import type { PruneWeightsParameters } from '../../../src/compression/techniques/prune-weights/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, tensor, value } from '../../support/graphs.ts';
import { clouds, convolutional, images, perceptron, randomTensor } from '../../support/models.ts';
import { contextFor, initialState } from '../../support/steps.ts';

const parameters = (given: Partial<PruneWeightsParameters>): PruneWeightsParameters => ({
  scope: 'global',
  score: 'magnitude',
  schedule: 'one-shot',
  epochs: 0,
  rampFraction: 0.5,
  rounds: 2,
  layers: {},
  ...given,
});
const weights = (model: Model, name: string) => [...(toHost(model.graph.initializers.get(name)!).data as Float32Array)];
const sparsity = (values: readonly number[]) => values.filter((weight) => weight === 0).length / values.length;
const kernels = (model: Model) => [...weights(model, 'w1'), ...weights(model, 'w2')];

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

async function taught(): Promise<Model> {
  const model = perceptron({ hidden: 32 });
  return (await retrain(initialState(model), { epochs: 4 }, contextFor(model, clouds()))).model;
}

describe('without training', () => {
  test('takes the smallest kernels, leaves biases and the larger ones as they were', async () => {
    const model = perceptron();
    const { model: pruned, frozenZeros } = await apply(
      initialState(model),
      parameters({ sparsity: 0.5 }),
      contextFor(model, null),
    );
    const [before, after] = [kernels(model), kernels(pruned)];
    expect(sparsity(after)).toBe(0.5);
    const kept = before.filter((_, i) => after[i] !== 0).map(Math.abs);
    const gone = before.filter((_, i) => after[i] === 0).map(Math.abs);
    expect(Math.min(...kept)).toBeGreaterThan(Math.max(...gone));
    expect(after.every((weight, i) => weight === 0 || weight === before[i])).toBe(true);
    expect(pruned.graph.initializers.get('b1')).toBe(model.graph.initializers.get('b1'));
    expect([...frozenZeros].sort()).toEqual(['w1', 'w2']);
  });

  test('a threshold closes exactly what lies under it; layers can be left out', async () => {
    const model = perceptron();
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ threshold: { absolute: 0.2 }, layers: { exclude: ['sec*'] } }),
      contextFor(model, null),
    );
    expect(weights(pruned, 'w1')).toEqual(weights(model, 'w1').map((weight) => (Math.abs(weight) < 0.2 ? 0 : weight)));
    expect(pruned.graph.initializers.get('w2')).toBe(model.graph.initializers.get('w2'));
  });

  test('2:4 keeps the two largest of every four inputs of an output', async () => {
    const model = perceptron({ features: 8, hidden: 6 });
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ pattern: '2:4', layers: { include: ['w1'] } }),
      contextFor(model, null),
    );
    const [before, after] = [weights(model, 'w1'), weights(pruned, 'w1')];
    for (let at = 0; at < before.length; at += 4) {
      const largest = before
        .slice(at, at + 4)
        .map(Math.abs)
        .sort((a, b) => b - a)
        .slice(0, 2);
      expect(
        after
          .slice(at, at + 4)
          .filter((weight) => weight !== 0)
          .map(Math.abs)
          .sort((a, b) => b - a),
      ).toEqual(largest);
    }
  });

  test('finds kernels in Constant nodes and in branches, also of a model that cannot be trained', async () => {
    const inner = randomTensor('inner', [4, 4], 3);
    const branch = {
      name: 'branch',
      initializers: new Map([['inner', inner]]),
      inputs: [],
      valueInfos: [],
      nodes: [makeNode('MatMul', ['x', 'inner'], ['out'])],
      outputs: [value('out', ['n', 4])],
    };
    const model = modelOf({
      nodes: [
        makeNode('Constant', [], ['k'], { value: { kind: 'tensor', value: randomTensor('', [4, 4], 5) } }),
        makeNode('MatMul', ['x', 'k'], ['h']),
        makeNode('If', ['flag'], ['y'], {
          then_branch: { kind: 'graph', value: branch },
          else_branch: { kind: 'graph', value: { ...branch, name: 'other' } },
        }),
        makeNode('Add', ['h', 'y'], ['z']),
      ],
      initializers: [],
      inputs: [value('x', ['n', 4]), value('flag', [], 'bool')],
      outputs: [value('z', ['n', 4])],
    });
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ sparsity: 0.5, scope: 'layer' }),
      contextFor(model, null),
    );
    const constant = pruned.graph.nodes[0]!.attributes.get('value')!;
    const body = pruned.graph.nodes[2]!.attributes.get('then_branch')!;
    expect(constant.kind === 'tensor' && sparsity([...(toHost(constant.value).data as Float32Array)])).toBe(0.5);
    expect(
      body.kind === 'graph' && sparsity([...(toHost(body.value.initializers.get('inner')!).data as Float32Array)]),
    ).toBe(0.5);
  });

  test('float16 kernels stay float16', async () => {
    const model = modelOf({
      nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
      initializers: [tensor('w', [2, 2], [0.5, -0.25, 2, 1], 'float16')],
      inputs: [value('x', ['n', 2], 'float16')],
      outputs: [value('y', ['n', 2], 'float16')],
    });
    const { model: pruned } = await apply(initialState(model), parameters({ sparsity: 0.5 }), contextFor(model, null));
    expect(pruned.graph.initializers.get('w')!.dtype).toBe('float16');
    expect(weights(pruned, 'w')).toEqual([0, 0, 2, 1]);
  });

  test('warns if no layer matches', async () => {
    const model = perceptron();
    const context = contextFor(model, null);
    const state = await apply(
      initialState(model),
      parameters({ sparsity: 0.5, layers: { include: ['nothing'] } }),
      context,
    );
    expect(state.model).toBe(model);
    expect(context.warnings).toEqual(['nothing-to-prune']);
  });

  test('warns if kernels are few of the weights', async () => {
    const warnings = async (rows: number) => {
      const table = tensor('table', [rows, 4], new Float32Array(rows * 4).fill(1));
      const model = modelOf({
        nodes: [makeNode('Gather', ['table', 'ids'], ['e']), makeNode('MatMul', ['e', 'w'], ['y'])],
        initializers: [
          table,
          tensor(
            'w',
            [4, 4],
            Float32Array.from({ length: 16 }, (_, i) => i + 1),
          ),
        ],
        inputs: [value('ids', ['n'], 'int64')],
        outputs: [value('y', ['n', 4])],
      });
      const context = contextFor(model, null);
      await apply(initialState(model), parameters({ sparsity: 0.5 }), context);
      return context.warnings;
    };
    expect(await warnings(17)).toEqual(['few-weights-are-kernels']); // 16 of 84
    expect(await warnings(15)).toEqual([]); // 16 of 76
  });
});

describe('while training', () => {
  test.each([
    ['gradual', 'magnitude'],
    ['iterative', 'magnitude'],
    ['one-shot', 'taylor'],
    ['gradual', 'movement'],
  ] as const)('%s by %s meets the sparsity exactly and still knows the classes', async (schedule, score) => {
    const model = await taught();
    const context = contextFor(model, clouds());
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ sparsity: 0.8, schedule, score, epochs: 6 }),
      context,
    );
    expect(sparsity(kernels(pruned))).toBeCloseTo(0.8, 2);
    expect(context.progress.filter(({ endOfEpoch }) => endOfEpoch).at(-1)!.metrics!['validation.top1']).toBeGreaterThan(
      0.9,
    );
  });

  test('kernels of branches are trained where their branch is taken, and keep their zeros', async () => {
    const branch = (name: string, seed: number) => ({
      kind: 'graph' as const,
      value: {
        name,
        initializers: new Map([[`w_${name}`, randomTensor(`w_${name}`, [4, 3], seed)]]),
        inputs: [],
        valueInfos: [],
        nodes: [makeNode('MatMul', ['x', `w_${name}`], [`y_${name}`])],
        outputs: [value(`y_${name}`, null)],
      },
    });
    const model = modelOf({
      nodes: [
        makeNode('ReduceMean', ['x'], ['mean'], { keepdims: 0 }),
        makeNode('Less', ['mean', 'bound'], ['low']), // of a whole batch: always so for these clouds
        makeNode('If', ['low'], ['y'], { then_branch: branch('taken', 1), else_branch: branch('other', 2) }),
      ],
      initializers: [tensor('bound', [], [1e6])],
      inputs: [value('x', ['n', 4])],
      outputs: [value('y', ['n', 3])],
    });
    const inBranches = ({ graph }: Model) =>
      subgraphs(graph.nodes[2]!).flatMap(({ graph: inner }) =>
        [...inner.initializers.values()].map((kernel) => [...(toHost(kernel).data as Float32Array)]),
      );
    const pruned = await apply(
      initialState(model),
      parameters({ sparsity: 0.5, scope: 'layer', epochs: 2 }),
      contextFor(model, clouds()),
    );
    expect(inBranches(pruned.model).map(sparsity)).toEqual([0.5, 0.5]);
    const again = await retrain(pruned, { epochs: 1 }, contextFor(model, clouds()));
    const [before, after] = [inBranches(pruned.model), inBranches(again.model)];
    expect(after.map((kernel) => kernel.map((weight) => weight === 0))).toEqual(
      before.map((kernel) => kernel.map((weight) => weight === 0)),
    );
    expect(after[0]).not.toEqual(before[0]);
    expect(after[1]).toEqual(before[1]);
  });

  test('2:4 of a convolution lies along its input channels, whatever layout the engine trains it in', async () => {
    const model = convolutional({ channels: 8 });
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ pattern: '2:4', epochs: 1, layers: { include: ['conv'] } }),
      contextFor(model, images({ channels: 8 })),
    );
    const kernel = weights(pruned, 'kernel'); // [filters, 8, 3, 3]
    for (let filter = 0; filter < 8; filter++) {
      for (let place = 0; place < 9; place++) {
        for (const group of [0, 4]) {
          const kept = [0, 1, 2, 3].filter((i) => kernel[filter * 72 + (group + i) * 9 + place] !== 0);
          expect(kept).toHaveLength(2);
        }
      }
    }
    expect(sparsity(weights(pruned, 'w'))).toBe(0);
  });

  test('a model with a fixed batch axis is trained in batches of that size', async () => {
    const model = convolutional({ batch: 7 });
    const context = contextFor(model, images());
    const after = await retrain(initialState(model), { epochs: 4 }, context);
    expect(after.model).not.toBe(model);
    expect(context.progress.at(-1)!.metrics!['validation.top1']).toBeGreaterThan(0.6);
  });

  test('zeros stay zero in a later step', async () => {
    const model = perceptron({ hidden: 32 });
    const pruned = await apply(initialState(model), parameters({ sparsity: 0.7 }), contextFor(model, null));
    const after = await retrain(pruned, { epochs: 2 }, contextFor(model, clouds()));
    const [before, now] = [kernels(pruned.model), kernels(after.model)];
    expect(before.every((weight, i) => weight !== 0 || now[i] === 0)).toBe(true);
    expect(now.some((weight, i) => weight !== before[i])).toBe(true);
  });

  test('without labels the original model teaches', async () => {
    const model = await taught();
    const unlabelled = clouds({ labelled: false });
    const context = contextFor(model, unlabelled);
    const { model: pruned } = await apply(
      initialState(model),
      parameters({ sparsity: 0.8, schedule: 'gradual', epochs: 12 }),
      context,
    );
    expect(sparsity(kernels(pruned))).toBeCloseTo(0.8, 2);
    const last = context.progress.filter(({ endOfEpoch }) => endOfEpoch).at(-1)!.metrics!;
    expect(last['validation.loss']).toBeLessThan(0.05); // squared error relative to the teacher's scores
  });
});
