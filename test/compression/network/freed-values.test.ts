/** Runs that free values after their last use give the same outputs and hold few tensors at once. */
import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import type { Graph, Model, Node } from '../../../src/compression/ir/types.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { modelOf, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

interface Ran {
  readonly outputs: number[][];
  /** Tensors made by the run and alive at its end. */
  readonly alive: number;
}

function run(model: Model, dims: number[], freesValues: boolean, fetch: string[] = []): Ran {
  const network = lowerOrThrow(model);
  const started = tf.memory().numTensors;
  const result = tf.tidy(() => {
    const x = tf.tensor(
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
      dims,
    );
    const { outputs } = network.run(new Map([['x', { kind: 'device', dtype: 'float32', tensor: x }]]), {
      training: false,
      freesValues,
      fetch,
    });
    const alive = tf.memory().numTensors - started;
    // the caller owns what it passed
    expect([...x.dataSync()].slice(0, 2)).toEqual([0, Math.fround(Math.sin(1))]);
    return {
      outputs: [...outputs.values()].map((made) => [
        ...(made.kind === 'host' ? (made.value.data as Float32Array) : made.tensor.dataSync()),
      ]),
      alive,
    };
  });
  network.dispose();
  return result;
}

const dense = (nodes: readonly Node[], outputs: readonly string[] = ['y']): Model =>
  modelOf({
    nodes,
    initializers: [randomTensor('w', [4, 4], 1), tensor('one', [4], [1, 1, 1, 1]), tensor('yes', [], [1], 'bool')],
    inputs: [value('x', ['n', 4])],
    outputs: outputs.map((name) => value(name, null)),
  });

const body = (nodes: readonly Node[], output: string): { kind: 'graph'; value: Graph } => ({
  kind: 'graph',
  value: { name: output, nodes, initializers: new Map(), inputs: [], outputs: [value(output, null)], valueInfos: [] },
});

describe('the same outputs', () => {
  test.each<[string, Model, string[]]>([
    [
      'of values passed on unchanged',
      dense([
        node('MatMul', ['x', 'w'], ['h']),
        node('Identity', ['h'], ['i']),
        node('Dropout', ['i'], ['d']),
        node('Tanh', ['h'], ['t']),
        node('Add', ['d', 't'], ['y']),
      ]),
      [],
    ],
    ['of the input passed on', dense([node('Identity', ['x'], ['i']), node('MatMul', ['i', 'w'], ['y'])]), []],
    [
      'of a weight passed on',
      dense([node('Identity', ['w'], ['v']), node('MatMul', ['x', 'v'], ['h']), node('MatMul', ['h', 'w'], ['y'])]),
      [],
    ],
    [
      'of a weight that is transposed for two products',
      dense([node('Gemm', ['x', 'w'], ['h'], { transB: 1 }), node('Gemm', ['h', 'w'], ['y'], { transB: 1 })]),
      [],
    ],
    [
      'of values fetched',
      dense([node('MatMul', ['x', 'w'], ['h']), node('Tanh', ['h'], ['t']), node('Add', ['t', 'one'], ['y'])]),
      ['h', 't'],
    ],
    [
      'of a branch that gives what it captures',
      dense([
        node('MatMul', ['x', 'w'], ['h']),
        node('Tanh', ['h'], ['t']),
        node('ReduceMax', ['t'], ['m'], { keepdims: 0 }),
        node('Less', ['m', 'm'], ['c']),
        node('If', ['c'], ['b'], {
          then_branch: body([node('Identity', ['t'], ['p'])], 'p'),
          else_branch: body([node('Identity', ['h'], ['q'])], 'q'),
        }),
        node('Relu', ['t'], ['r']),
        node('Add', ['b', 'r'], ['s']),
        node('Sub', ['s', 'b'], ['y']),
      ]),
      [],
    ],
  ])('%s', (_, model, fetch) => {
    expect(run(model, [2, 4], true, fetch).outputs).toEqual(run(model, [2, 4], false, fetch).outputs);
  });

  test('of images, which lie in two layouts', () => {
    const model = modelOf({
      nodes: [
        node('Conv', ['x', 'k'], ['c'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
        node('Relu', ['c'], ['r']),
        node('Flatten', ['r'], ['f']),
        node('Conv', ['r', 'k'], ['d'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
        node('Flatten', ['d'], ['g']),
        node('Add', ['f', 'g'], ['y']),
      ],
      initializers: [randomTensor('k', [3, 3, 3, 3], 2)],
      inputs: [value('x', [2, 3, 6, 6])],
      outputs: [value('y', null)],
    });
    expect(run(model, [2, 3, 6, 6], true).outputs).toEqual(run(model, [2, 3, 6, 6], false).outputs);
  });
});

/** Tanh is one operation of the engine; Celu is several, with intermediate results. */
test.each(['Tanh', 'Celu'])('the depth of a network of %s does not show in the tensors that are alive', (operator) => {
  const chain = (length: number): Model =>
    dense([
      node('MatMul', ['x', 'w'], ['t0']),
      ...Array.from({ length }, (_, i) => node(operator, [`t${i}`], [i + 1 === length ? 'y' : `t${i + 1}`])),
    ]);
  expect(run(chain(60), [2, 4], true).alive).toBe(run(chain(3), [2, 4], true).alive);
  expect(run(chain(60), [2, 4], false).alive).toBeGreaterThanOrEqual(60);
});
