/**
 * Batch normalization with what follows it is computed in one step, with the results of onnxruntime and the gradients
 * of the single steps.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import type { Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { lowerOrThrow, planModel } from '../../../src/compression/network/lower.ts';
import { fuseBatchNorm } from '../../../src/compression/network/fuse-batch-norm.ts';
import { instructionsFor } from '../../../src/compression/network/program.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { floats, modelOf, runInOnnxRuntime, spread, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const [BATCH, CHANNELS, SIZE] = [3, 4, 5];
const vector = (name: string, base: number): Tensor =>
  tensor(
    name,
    [CHANNELS],
    [0, 1, 2, 3].map((i) => base + 0.2 * i),
  );
const normalization = (x: string, y: string, which: string): Node =>
  node('BatchNormalization', [x, `scale_${which}`, `bias_${which}`, `mean_${which}`, `variance_${which}`], [y], {
    epsilon: { float: 1e-3 },
  });
const constants = ['a', 'b'].flatMap((which) => [
  vector(`scale_${which}`, 0.7),
  vector(`bias_${which}`, -0.3),
  vector(`mean_${which}`, 0.1),
  vector(`variance_${which}`, 0.8),
]);
const WEIGHTS = [
  randomTensor('w_a', [CHANNELS, CHANNELS, 3, 3], 1),
  randomTensor('w_b', [CHANNELS, CHANNELS, 1, 1], 2),
];
const conv = (x: string, y: string, which: string): Node =>
  node('Conv', [x, `w_${which}`], [y], {
    kernel_shape: which === 'a' ? [3, 3] : [1, 1],
    pads: which === 'a' ? [1, 1, 1, 1] : [0, 0, 0, 0],
  });

function model(
  nodes: readonly Node[],
  {
    more = [],
    outputs = ['y'],
    opset = 17,
  }: { more?: readonly Tensor[]; outputs?: readonly string[]; opset?: number } = {},
): Model {
  const used = new Set(nodes.flatMap(({ inputs }) => inputs));
  return modelOf({
    nodes,
    opset,
    initializers: [...WEIGHTS, ...constants, ...more].filter(({ name }) => used.has(name)),
    inputs: [value('x', ['n', CHANNELS, SIZE, SIZE])],
    outputs: outputs.map((name) => value(name, null)),
  });
}

const bounds = [tensor('low', [], [-0.4]), tensor('high', [], [0.6])];
const first = [conv('x', 'c', 'a'), normalization('c', 'm', 'a')];

/**
 * Name, the model, how many normalizations are fused, and a value between that stands in the way where it is asked for.
 */
const CASES: readonly (readonly [string, Model, number, string])[] = [
  ['ReLU', model([...first, node('Relu', ['m'], ['y'])]), 1, 'm'],
  ['clipping', model([...first, node('Clip', ['m', 'low', 'high'], ['y'])], { more: bounds }), 1, 'm'],
  [
    'clipping by attributes',
    model([...first, node('Clip', ['m'], ['y'], { min: { float: -0.4 }, max: { float: 0.6 } })], { opset: 9 }),
    1,
    'm',
  ],
  ['a shortcut and ReLU', model([...first, node('Add', ['m', 'x'], ['s']), node('Relu', ['s'], ['y'])]), 1, 's'],
  ['a shortcut on the left', model([...first, node('Add', ['x', 'm'], ['s']), node('Relu', ['s'], ['y'])]), 1, 's'],
  [
    'a normalized shortcut',
    model([
      ...first,
      conv('x', 'd', 'b'),
      normalization('d', 'k', 'b'),
      node('Add', ['m', 'k'], ['s']),
      node('Relu', ['s'], ['y']),
    ]),
    1,
    's',
  ],
  [
    'two in a row',
    model([
      ...first,
      node('Relu', ['m'], ['h']),
      conv('h', 'd', 'b'),
      normalization('d', 'k', 'b'),
      node('Add', ['k', 'h'], ['s']),
      node('Relu', ['s'], ['y']),
    ]),
    2,
    'm',
  ],
  [
    'a shortcut of one number for each channel',
    model([...first, node('Add', ['m', 'offsets'], ['s']), node('Relu', ['s'], ['y'])], {
      more: [tensor('offsets', [1, CHANNELS, 1, 1], [0.1, -0.2, 0.3, -0.4])],
    }),
    1,
    's',
  ],
];

const APART: readonly (readonly [string, Model])[] = [
  ['a value that something else reads', model([...first, node('Relu', ['m'], ['h']), node('Add', ['h', 'm'], ['y'])])],
  ['a value that is an output', model([...first, node('Relu', ['m'], ['y'])], { outputs: ['y', 'm'] })],
  [
    'a shortcut of lower rank',
    model([...first, node('Add', ['m', 'offsets'], ['s']), node('Relu', ['s'], ['y'])], {
      more: [tensor('offsets', [SIZE], [0.1, -0.2, 0.3, -0.4, 0.5])],
    }),
  ],
  ['another activation', model([...first, node('Sigmoid', ['m'], ['y'])])],
];

function fusedCount(of: Model, fetch: readonly string[] = []): number {
  const planned = planModel(of);
  if (!planned.ok) throw new Error('The model cannot be lowered');
  const { program } = planned.parts;
  const kept = new Set([...of.graph.outputs.map(({ name }) => name), ...fetch]);
  const instructions = instructionsFor(program, kept);
  return (
    instructions.filter(({ node: { opType } }) => opType === 'Relu' || opType === 'Clip').length -
    fuseBatchNorm(instructions, program.types, kept).filter(
      ({ node: { opType } }) => opType === 'Relu' || opType === 'Clip',
    ).length
  );
}

const X = spread(BATCH * CHANNELS * SIZE * SIZE, 3);

interface Trained {
  readonly y: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly state: ReadonlyMap<string, Float32Array>;
}

function run(of: Model, training: boolean, fetch: readonly string[] = []): Trained {
  const network = lowerOrThrow(of);
  const [gradients, state] = [new Map<string, Float32Array>(), new Map<string, Float32Array>()];
  let y = new Float32Array();
  tf.tidy(() => {
    const feeds = new Map<string, Value>([
      ['x', { kind: 'device', dtype: 'float32', tensor: tf.tensor(X, [BATCH, CHANNELS, SIZE, SIZE]) }],
    ]);
    const { grads } = tf.variableGrads(
      () => {
        const { outputs, stateUpdates } = network.run(feeds, { training, fetch });
        const made = outputs.get('y')!;
        if (made.kind === 'host') throw new Error('a value of the host');
        y = made.tensor.dataSync() as Float32Array<ArrayBuffer>;
        for (const [name, updated] of stateUpdates) state.set(name, updated.dataSync() as Float32Array);
        return tf.sum(tf.mul(made.tensor, tf.tensor(spread(made.tensor.size, 7), made.tensor.shape)));
      },
      network.parameters.map(({ variable }) => variable),
    );
    for (const { name, variable } of network.parameters)
      gradients.set(name, grads[variable.name]!.dataSync() as Float32Array);
  });
  network.dispose();
  return { y, gradients, state };
}

function difference(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a).reduce<number>((worst, each, i) => Math.max(worst, Math.abs(Number(each) - Number(b[i]))), 0);
}

describe.each(CASES)('batch normalization and %s', (_, of, count, between) => {
  test('are one step, unless a value between is asked for', () => {
    expect(fusedCount(of)).toBe(count);
    expect(fusedCount(of, [between])).toBe(count - 1);
  });

  test('give what onnxruntime gives', async () => {
    const expected = (await runInOnnxRuntime(of, { x: floats([BATCH, CHANNELS, SIZE, SIZE], X) })).get('y')!;
    expect(difference(run(of, false).y, expected.data)).toBeLessThan(1e-5);
  });

  test('train as the single steps do', () => {
    const [one, single] = [
      run(of, true),
      run(
        of,
        true,
        ['m', 's', 'k'].filter((name) => of.graph.nodes.some(({ outputs }) => outputs.includes(name))),
      ),
    ];
    expect(difference(one.y, single.y)).toBeLessThan(1e-5);
    expect([...one.state.keys()].sort()).toEqual([...single.state.keys()].sort());
    expect(one.state.size).toBeGreaterThan(0);
    for (const [name, updated] of one.state) expect(difference(updated, single.state.get(name)!)).toBeLessThan(1e-6);
    for (const [name, gradient] of one.gradients) {
      // not equal because nothing flows
      expect(Math.max(...single.gradients.get(name)!.map(Math.abs))).toBeGreaterThan(1e-3);
      expect(difference(gradient, single.gradients.get(name)!)).toBeLessThan(2e-5);
    }
  });
});

test.each(APART)('%s: operation by operation', (_, of) => {
  expect(fusedCount(of)).toBe(0);
});
