/**
 * Attention as exporters write it is computed in one step, with the results of onnxruntime and the gradients of the
 * single steps.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { ARCHITECTURES } from '../../../bench/architecture-networks.ts';
import { readOnnx } from '../../../src/compression/formats/onnx/read.ts';
import { makeNode as node, removeUnusedInitializers } from '../../../src/compression/ir/edit.ts';
import type { Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { fuseAttention } from '../../../src/compression/network/fuse-attention.ts';
import { gradientCarriers } from '../../../src/compression/network/gradient-paths.ts';
import { lowerOrThrow, planModel } from '../../../src/compression/network/lower.ts';
import { instructionsFor } from '../../../src/compression/network/program.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../../src/compression/tensor/tf.ts';
import { floats, modelOf, runInOnnxRuntime, spread, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

let native = false;
beforeAll(async () => {
  native = (await startEngine('auto', { threads: 1 })).native;
});

const [BATCH, TOKENS, HEADS, SIZE] = [2, 5, 3, 4];
const WIDTH = HEADS * SIZE;

const ints = (name: string, values: readonly number[]): Tensor => tensor(name, [values.length], values, 'int64');
const WEIGHTS = ['q', 'k', 'v'].map((name, i) => randomTensor(`w_${name}`, [WIDTH, WIDTH], i + 1));
const COMMON = [
  ...WEIGHTS,
  ints('to_heads', [0, 0, HEADS, SIZE]),
  ints('joined', [0, 0, WIDTH]),
  tensor('scale', [], [0.5]),
  tensor('root', [1], [2]),
  tensor('one', [], [1]),
  ints('last', [-1]),
  ints('end', [2 ** 31 - 1]),
  ints('sequence_heads', [TOKENS, -1, SIZE]),
  ints('sequence', [TOKENS, -1, WIDTH]),
];

/** x W for queries, keys and values, seen as heads [n, s, h, d]. */
const projected: Node[] = ['q', 'k', 'v'].flatMap((name) => [
  node('MatMul', ['x', `w_${name}`], [`${name}0`]),
  node('Reshape', [`${name}0`, 'to_heads'], [`${name}1`]),
]);
const byHead = (name: string, perm: readonly number[] = [0, 2, 1, 3], from = `${name}1`): Node =>
  node('Transpose', [from], [name], { perm });
const mixed = (shares: string): Node[] => [
  byHead('v'),
  node('MatMul', [shares, 'v'], ['mixed']),
  node('Transpose', ['mixed'], ['by_token'], { perm: [0, 2, 1, 3] }),
  node('Reshape', ['by_token', 'joined'], ['y']),
];
const softmax = (scores: string, axis = -1): Node => node('Softmax', [scores], ['shares'], { axis });

function attentionModel(
  nodes: readonly Node[],
  {
    constants = [],
    outputs = ['y'],
    inputs = [],
  }: { constants?: readonly Tensor[]; outputs?: readonly string[]; inputs?: readonly ReturnType<typeof value>[] } = {},
): Model {
  const model = modelOf({
    nodes,
    initializers: [...COMMON, ...constants],
    inputs: [value('x', ['n', TOKENS, WIDTH]), ...inputs],
    outputs: outputs.map((name) => value(name, null)),
  });
  return { ...model, graph: removeUnusedInitializers(model.graph) };
}

const scoresAndScale = [
  ...projected,
  byHead('q'),
  byHead('k', [0, 2, 3, 1]),
  node('MatMul', ['q', 'k'], ['raw']),
  node('Mul', ['raw', 'scale'], ['scores']),
];
const maskOfInput = [
  node('Cast', ['present'], ['present_float'], { to: 1 }),
  node('Sub', ['one', 'present_float'], ['absent']),
  node('Mul', ['absent', 'lowest'], ['mask']),
];
/** 1 / sqrt(sqrt(d)), computed from the shape of the queries. */
const rootOfShape = [
  node('Shape', ['q'], ['shape']),
  node('Slice', ['shape', 'last', 'end'], ['d']),
  node('Cast', ['d'], ['d_float'], { to: 1 }),
  node('Sqrt', ['d_float'], ['d_root']),
  node('Div', ['one', 'd_root'], ['d_scale']),
  node('Sqrt', ['d_scale'], ['d_factor']),
];

const CAUSAL = tensor(
  'causal',
  [TOKENS, TOKENS],
  Array.from({ length: TOKENS ** 2 }, (_, i) => (i % TOKENS <= Math.floor(i / TOKENS) ? 0 : -Infinity)),
);

const FUSED: readonly (readonly [string, Model])[] = [
  ['scaled scores', attentionModel([...scoresAndScale, softmax('scores'), ...mixed('shares')])],
  [
    'divided scores and a mask of an integer input (BERT)',
    attentionModel(
      [
        ...projected,
        ...maskOfInput,
        byHead('q'),
        byHead('k', [0, 2, 3, 1]),
        node('MatMul', ['q', 'k'], ['raw']),
        node('Div', ['raw', 'root'], ['scores']),
        node('Add', ['scores', 'mask'], ['masked']),
        softmax('masked', 3),
        ...mixed('shares'),
      ],
      { constants: [tensor('lowest', [], [-10_000])], inputs: [value('present', ['n', 1, 1, TOKENS], 'int64')] },
    ),
  ],
  [
    'queries and keys scaled by a root of their shape (torch)',
    attentionModel(
      [
        ...projected,
        byHead('q'),
        byHead('k_heads', undefined, 'k1'),
        ...rootOfShape,
        node('Mul', ['q', 'd_factor'], ['q_scaled']),
        node('Transpose', ['k_heads'], ['k_turned'], { perm: [0, 1, 3, 2] }),
        node('Mul', ['k_turned', 'd_factor'], ['k_scaled']),
        node('MatMul', ['q_scaled', 'k_scaled'], ['raw']),
        node('Add', ['causal', 'raw'], ['masked']),
        softmax('masked'),
        ...mixed('shares'),
      ],
      { constants: [CAUSAL] },
    ),
  ],
  [
    'queries scaled before their heads are moved (Keras)',
    attentionModel([
      ...projected,
      node('Mul', ['scale', 'q1'], ['q_scaled']),
      byHead('q', undefined, 'q_scaled'),
      byHead('k_heads', undefined, 'k1'),
      node('Transpose', ['k_heads'], ['k'], { perm: [0, 1, 3, 2] }),
      node('MatMul', ['q', 'k'], ['raw']),
      softmax('raw'),
      ...mixed('shares'),
    ]),
  ],
  [
    'heads and batch as one axis, sequence first, each row masked (torch, older)',
    attentionModel(
      [
        node('Transpose', ['x'], ['steps'], { perm: [1, 0, 2] }),
        ...['q', 'k', 'v'].flatMap((name) => [
          node('MatMul', ['steps', `w_${name}`], [`${name}0`]),
          node('Reshape', [`${name}0`, 'sequence_heads'], [`${name}1`]),
          byHead(name, name === 'k' ? [1, 2, 0] : [1, 0, 2]),
        ]),
        node('MatMul', ['q', 'k'], ['raw']),
        node('Mul', ['raw', 'scale'], ['scores']),
        node('Add', ['scores', 'causal'], ['masked']),
        softmax('masked'),
        node('MatMul', ['shares', 'v'], ['mixed']),
        node('Transpose', ['mixed'], ['by_token'], { perm: [1, 0, 2] }),
        node('Reshape', ['by_token', 'sequence'], ['steps_out']),
        node('Transpose', ['steps_out'], ['y'], { perm: [1, 0, 2] }),
      ],
      { constants: [CAUSAL] },
    ),
  ],
  [
    'learned biases of positions',
    attentionModel(
      [...scoresAndScale, node('Add', ['scores', 'positions'], ['masked']), softmax('masked'), ...mixed('shares')],
      { constants: [randomTensor('positions', [HEADS, TOKENS, TOKENS], 9)] },
    ),
  ],
  [
    'keys of another sequence, the same for all samples',
    attentionModel(
      [
        ...projected.map((each) =>
          each.inputs[0] === 'x' && each.inputs[1] !== 'w_q' ? { ...each, inputs: ['context', each.inputs[1]!] } : each,
        ),
        ...scoresAndScale.slice(projected.length),
        softmax('scores'),
        ...mixed('shares'),
      ],
      { constants: [randomTensor('context', [1, 7, WIDTH], 8)] },
    ),
  ],
  [
    'heads that are not merged',
    attentionModel([
      ...scoresAndScale,
      softmax('scores'),
      byHead('v'),
      node('MatMul', ['shares', 'v'], ['mixed']),
      node('Relu', ['mixed'], ['y']),
    ]),
  ],
];

const APART: readonly (readonly [string, Model])[] = [
  [
    'a dropout between',
    attentionModel([...scoresAndScale, softmax('scores'), node('Dropout', ['shares'], ['kept']), ...mixed('kept')]),
  ],
  [
    'scores that are an output',
    attentionModel([...scoresAndScale, softmax('scores'), ...mixed('shares')], { outputs: ['y', 'scores'] }),
  ],
  [
    'shares that something else reads',
    attentionModel(
      [...scoresAndScale, softmax('scores'), ...mixed('shares'), node('ReduceMax', ['shares'], ['most'])],
      { outputs: ['y', 'most'] },
    ),
  ],
  ['a softmax over queries', attentionModel([...scoresAndScale, softmax('scores', 2), ...mixed('shares')])],
  [
    'a scale that is learned',
    attentionModel([
      node('ReduceMean', ['w_q'], ['scale_of_weights'], { keepdims: 0 }),
      ...scoresAndScale.slice(0, -1),
      node('Mul', ['raw', 'scale_of_weights'], ['scores']),
      softmax('scores'),
      ...mixed('shares'),
    ]),
  ],
  [
    'a scale for each head',
    attentionModel(
      [
        ...scoresAndScale.slice(0, -1),
        node('Mul', ['raw', 'scales'], ['scores']),
        softmax('scores'),
        ...mixed('shares'),
      ],
      { constants: [tensor('scales', [HEADS, 1, 1], [0.3, 0.5, 0.7])] },
    ),
  ],
];

const outputsOf = (model: Model): string[] => model.graph.outputs.map(({ name }) => name);

/** Steps of a run that compute an attention each. */
function fusedSteps(model: Model, fetch: readonly string[] = []): number {
  const planned = planModel(model);
  if (!planned.ok) throw new Error('The model cannot be lowered');
  const { program, weights } = planned.parts;
  const kept = new Set([...outputsOf(model), ...fetch]);
  return fuseAttention(instructionsFor(program, kept), {
    types: program.types,
    kept,
    learns: gradientCarriers(program, weights.keys()),
  }).filter(({ node: { domain } }) => domain === 'lathe').length;
}

const X = spread(BATCH * TOKENS * WIDTH, 3);
const PRESENT = [1, 1, 0, 1, 1, 1, 1, 1, 0, 0];

/** Outputs and gradients of the weights; with `fetch`, of a run that must give these values, too. */
function trained(
  model: Model,
  fetch: readonly string[] = [],
): { outputs: Map<string, Float32Array>; gradients: Map<string, Float32Array> } {
  const network = lowerOrThrow(model);
  const [outputs, gradients] = [new Map<string, Float32Array>(), new Map<string, Float32Array>()];
  tf.tidy(() => {
    const feeds = new Map<string, Value>([
      ['x', { kind: 'device', dtype: 'float32', tensor: tf.tensor(X, [BATCH, TOKENS, WIDTH]) }],
    ]);
    if (model.graph.inputs.length > 1)
      feeds.set('present', {
        kind: 'device',
        dtype: 'int64',
        tensor: tf.tensor(PRESENT, [BATCH, 1, 1, TOKENS], 'int32'),
      });
    const { grads } = tf.variableGrads(
      () => {
        const results = [...network.run(feeds, { training: false, fetch }).outputs].map(
          ([name, made]) => [name, tensorOf(made)] as const,
        );
        for (const [name, made] of results) outputs.set(name, made.dataSync() as Float32Array);
        const y = results[0]![1];
        return tf.sum(tf.mul(y, tf.tensor(spread(y.size, 7), y.shape)));
      },
      network.parameters.map(({ variable }) => variable),
    );
    for (const { name, variable } of network.parameters)
      gradients.set(name, grads[variable.name]!.dataSync() as Float32Array);
  });
  network.dispose();
  return { outputs, gradients };
}

function tensorOf(made: Value): TfTensor {
  if (made.kind === 'host') throw new Error('a value of the host');
  return made.tensor;
}

function difference(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  if (a.length !== b.length) return Infinity;
  const [worst, largest] = Array.from(a).reduce<[number, number]>(
    ([w, l], each, i) => [Math.max(w, Math.abs(Number(each) - Number(b[i]))), Math.max(l, Math.abs(Number(b[i])))],
    [0, 1e-6],
  );
  return worst / largest;
}

describe.each(FUSED)('%s', (name, model) => {
  test('is one step, unless a value between is asked for', () => {
    expect(fusedSteps(model)).toBe(1);
    expect(fusedSteps(model, ['raw'])).toBe(0);
    expect(fusedSteps(model, ['shares'])).toBe(0);
    expect(fusedSteps(model, ['mixed', 'v'])).toBe(1); // what goes in and comes out is there in any case
  });

  test('gives what onnxruntime gives', async () => {
    const ort = await import('onnxruntime-node');
    const feeds = {
      x: floats([BATCH, TOKENS, WIDTH], X),
      ...(model.graph.inputs.length > 1
        ? { present: new ort.Tensor('int64', BigInt64Array.from(PRESENT, BigInt), [BATCH, 1, 1, TOKENS]) }
        : {}),
    };
    const expected = (await runInOnnxRuntime(model, feeds)).get('y')!;
    expect(difference(trained(model).outputs.get('y')!, expected.data)).toBeLessThan(2e-6);
  });

  test('has the gradients of the single steps', () => {
    const [one, single] = [trained(model), trained(model, ['raw', 'shares'])];
    expect([...single.outputs.keys()]).toEqual(['y', 'raw', 'shares']);
    expect([...one.gradients.keys()]).toEqual([
      ...WEIGHTS.map((weight) => weight.name),
      ...(name.startsWith('learned') ? ['positions'] : []),
    ]);
    for (const [weight, gradient] of one.gradients) {
      // not equal because nothing flows
      expect(Math.max(...single.gradients.get(weight)!.map(Math.abs))).toBeGreaterThan(1e-3);
      expect(difference(gradient, single.gradients.get(weight)!)).toBeLessThan(1e-5);
    }
  });
});

test.each(APART)('%s: operation by operation', (_, model) => {
  expect(fusedSteps(model)).toBe(0);
});

test('the transformer of the benchmarks has one step for each layer', () => {
  const { onnx } = ARCHITECTURES.find(({ name }) => name === 'transformer')!;
  expect(fusedSteps(readOnnx(onnx()))).toBe(4);
});

test('the engine in use takes the fused step where it has the kernel', () => {
  const network = lowerOrThrow(FUSED[0]![1]);
  const steps = (network as unknown as { plan(fetch: readonly string[]): readonly { node: Node }[] }).plan([]);
  expect(steps.some(({ node: { domain } }) => domain === 'lathe')).toBe(native);
  network.dispose();
});
