/** Whether and where an uploaded model can be trained: the check against onnxruntime and the obstacles it names. */
import { beforeAll, describe, expect, test } from 'vitest';
import { MessageWriter } from '../../../src/compression/formats/onnx/wire.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode, subgraphs } from '../../../src/compression/ir/edit.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import type { Dim, Graph, Model } from '../../../src/compression/ir/types.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { allowedDifference } from '../../../src/compression/agreement/differences.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import { hostNumbers, toHost } from '../../../src/compression/ir/tensor-data.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, tensor, value } from '../../support/graphs.ts';
import { perceptron, randomTensor } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const check = (model: Model) => checkAgainstRuntime(writeOnnx(model), model);

test('a plain network agrees and can be trained', async () => {
  expect(await check(perceptron())).toEqual({ trainable: true, untrainable: [] });
});

test('a chain of 10,000 operators agrees but for their rounding', async () => {
  const chain = Array.from({ length: 10_000 }, (_, i) =>
    makeNode('Tanh', [i === 0 ? 'h' : `t${i}`], [i === 9999 ? 'y' : `t${i + 1}`]),
  );
  const model = modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['h']), ...chain],
    initializers: [randomTensor('w', [4, 3], 1)],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 3])],
  });
  expect(await check(model)).toEqual({ trainable: true, untrainable: [] });
});

test('int8 weights that a processor may multiply with saturation agree', async () => {
  const wide = Int8Array.from({ length: 64 * 16 }, (_, i) => (i % 5 === 0 ? -20 : 127));
  const model = modelOf({
    nodes: [
      makeNode('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']),
      makeNode('MatMulInteger', ['q', 'codes', 'z'], ['sums']),
      makeNode('Cast', ['sums'], ['floats'], { to: 1 }),
      makeNode('Mul', ['floats', 's'], ['scaled']),
      makeNode('Mul', ['scaled', 'scale'], ['h']),
      makeNode('MatMul', ['h', 'w'], ['y']),
    ],
    initializers: [tensor('codes', [64, 16], wide, 'int8'), tensor('scale', [], [1e-3]), randomTensor('w', [16, 3], 1)],
    inputs: [value('x', ['n', 64])],
    outputs: [value('y', ['n', 3])],
  });
  expect(await check(model)).toMatchObject({ trainable: true });
});

test('ordinary networks are held to 1e-4', () => {
  const { graph } = perceptron();
  const long = (length: number): Model =>
    modelOf({
      ...graph,
      initializers: [],
      nodes: Array.from({ length }, (_, i) =>
        makeNode('Neg', [i === 0 ? 'x' : `t${i}`], [i === length - 1 ? 'y' : `t${i + 1}`]),
      ),
    });
  expect(allowedDifference(perceptron())).toBe(1e-4);
  expect(allowedDifference(long(1600))).toBe(1e-4);
  expect(allowedDifference(long(10_000))).toBeCloseTo(6e-4, 5);
});

test('an operator without a gradient on the path freezes what lies before it, and is named', async () => {
  const model = modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'w1'], ['h'], {}, { name: 'before' }),
      makeNode('Sign', ['h'], ['s'], {}, { name: 'step' }),
      makeNode('MatMul', ['s', 'w2'], ['y'], {}, { name: 'after' }),
    ],
    initializers: [randomTensor('w1', [4, 5], 1), randomTensor('w2', [5, 3], 2)],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 3])],
  });
  const { trainable, untrainable } = await check(model);
  expect(trainable).toBe(true);
  expect(untrainable).toEqual([
    {
      node: expect.stringContaining('step') as string,
      operator: 'Sign',
      reason: expect.stringMatching(/1 weight before it/) as string,
    },
  ]);
});

test('one off every path from a weight to an output is not in the way', async () => {
  const model = modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['y']), makeNode('ArgMax', ['x'], ['label'], { axis: 1 })],
    initializers: [randomTensor('w', [4, 3], 1)],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 3]), value('label', null, 'int64')],
  });
  expect(await check(model)).toEqual({ trainable: true, untrainable: [] });
});

describe('weights in branches', () => {
  const branch = (name: string): Graph => ({
    name,
    nodes: [makeNode('Mul', ['x', `w_${name}`], [`y_${name}`])],
    initializers: new Map([[`w_${name}`, tensor(`w_${name}`, [4], [1, 2, 3, 4])]]),
    inputs: [],
    outputs: [value(`y_${name}`, null)],
    valueInfos: [],
  });

  const choice = (yes: Graph, no: Graph) =>
    modelOf({
      nodes: [
        makeNode('ReduceSum', ['x'], ['sum'], { keepdims: 0 }),
        makeNode('Greater', ['sum', 'zero'], ['positive']),
        makeNode(
          'If',
          ['positive'],
          ['y'],
          {
            then_branch: { kind: 'graph', value: yes },
            else_branch: { kind: 'graph', value: no },
          },
          { name: 'choice' },
        ),
      ],
      initializers: [tensor('zero', [], [0])],
      inputs: [value('x', ['n', 4])],
      outputs: [value('y', null)],
    });

  test('are trained, and written back into their branch', async () => {
    const model = choice(branch('then'), branch('else'));
    expect(await check(model)).toEqual({ trainable: true, untrainable: [] });
    const network = lowerOrThrow(model);
    const weight = network.parameters.find(({ name }) => name === 'w_else')!;
    weight.variable.assign(tf.tensor1d([5, 6, 7, 8]));
    const trained = await network.toModel();
    network.dispose();
    const [yes, no] = subgraphs(trained.graph.nodes.at(-1)!).map(({ graph }) => graph);
    expect(yes).toBe(subgraphs(model.graph.nodes.at(-1)!)[0]!.graph);
    expect(hostNumbers(toHost(no!.initializers.get('w_else')!))).toEqual([5, 6, 7, 8]);
    expect(trained.graph.initializers).toEqual(model.graph.initializers);
    expect((await check(trained)).trainable).toBe(true);
  });

  test('of one name in both branches are not, and the branching node is named', async () => {
    const shared = (graph: Graph): Graph => ({
      ...graph,
      nodes: graph.nodes.map((item) => ({ ...item, inputs: ['x', 'w'] })),
      initializers: new Map([['w', tensor('w', [4], [1, 2, 3, 4])]]),
    });
    const { trainable, untrainable } = await check(choice(shared(branch('then')), shared(branch('else'))));
    expect(trainable).toBe(false);
    expect(untrainable).toEqual([
      {
        node: expect.stringContaining('choice') as string,
        operator: 'If',
        reason: expect.stringContaining('subgraphs') as string,
      },
    ]);
  });
});

describe('an output of another shape than the file declares', () => {
  const declaring = (shape: readonly Dim[], x: readonly Dim[] = ['n', 'k']) =>
    modelOf({
      nodes: [makeNode('MatMul', ['x', 'w'], ['h']), makeNode('Abs', ['h'], ['y'])],
      initializers: [randomTensor('w', [4, 3], 1)],
      inputs: [value('x', x)],
      outputs: [value('y', shape)],
    });

  test('is told by the run, where sizes are open, and does no harm', async () => {
    expect(await check(declaring([7, 3], ['n', 4]))).toEqual({
      trainable: true,
      untrainable: [],
      warnings: [{ code: 'declared-shape-differs', message: 'Output "y" is declared [7, 3], but comes out as [2, 3]' }],
    });
  });

  test('is told by the graph, where sizes are known', () => {
    const { outputs, warnings } = describeModel(declaring([2, 3, 1], [2, 4]), 'onnx');
    expect(outputs[0]!.shape).toEqual([2, 3]);
    expect(warnings).toEqual([
      {
        code: 'declared-shape-differs',
        message: expect.stringContaining('"y" is declared [2, 3, 1], but is [2, 3]') as string,
      },
    ]);
  });

  test('which a declared symbol or nothing at all does not say', async () => {
    expect(await check(declaring(['m', 3], ['n', 4]))).toEqual({ trainable: true, untrainable: [] });
  });
});

test('an input that is no tensor is named, with its type and its node', async () => {
  // y = x W + the sequence's first tensor; its type is written by hand: the representation holds tensors only.
  const elements = new MessageWriter().message(1, new MessageWriter().message(1, new MessageWriter().int(1, 1)));
  const rest = [new MessageWriter().message(2, new MessageWriter().message(4, elements)).finish()];
  const model = modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['y']), makeNode('Identity', ['s'], ['t'], {}, { name: 'pass' })],
    initializers: [randomTensor('w', [4, 3], 1)],
    inputs: [value('x', ['n', 4]), { name: 's', type: null, rest }],
    outputs: [value('y', null)],
  });
  expect(await check(model)).toEqual({
    trainable: false,
    untrainable: [
      {
        node: 'node "pass" (Identity)',
        operator: 'Identity',
        reason: '"s" is a sequence of float32 tensors: only tensors are computed',
      },
    ],
  });
});

test('an operator that the engine does not know is named', async () => {
  const model = modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'w'], ['h']),
      makeNode('Sparkle', ['h'], ['y'], {}, { name: 'odd', domain: 'org.example' }),
    ],
    initializers: [randomTensor('w', [4, 3], 1)],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
    domains: { 'org.example': 1 },
  });
  const { trainable, untrainable } = await check(model);
  expect(trainable).toBe(false);
  expect(JSON.stringify(untrainable)).toMatch(/odd.*Sparkle/);
});

test('a batch that the operators fix and the file does not is told', async () => {
  const model = modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'w'], ['h']),
      makeNode('Reshape', ['h', 'traced'], ['rows']),
      makeNode('Add', ['h', 'rows'], ['y']),
    ],
    initializers: [randomTensor('w', [4, 3], 1), tensor('traced', [2], [7, 3], 'int64')],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
  });
  expect(await check(model)).toEqual({
    trainable: true,
    untrainable: [],
    warnings: [
      { code: 'batch-size-fixed', message: 'The file leaves the batch size open, but runs with batches of 7 only' },
    ],
  });
});
