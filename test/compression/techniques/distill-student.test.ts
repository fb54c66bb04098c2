/** Students made of their teachers. */
import { beforeAll, describe, expect, test } from 'vitest';
import { removableBlocks, withoutBlocks } from '../../../src/compression/graph/blocks.ts';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import { inferShapes } from '../../../src/compression/graph/infer.ts';
import { layersOf, stagesOf } from '../../../src/compression/graph/stages.ts';
import type { Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { countWeights } from '../../../src/compression/graph/weights.ts';
import { apply } from '../../../src/compression/techniques/distill/apply.ts';
import type { DistillParameters } from '../../../src/compression/techniques/distill/spec.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { floats, modelOf, runInOnnxRuntime, tensor, value } from '../../support/graphs.ts';
import { clouds, images, perceptron, randomTensor } from '../../support/models.ts';
import { contextFor, initialState } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const parameters = (given: Partial<DistillParameters> = {}): DistillParameters => ({
  teacher: 'original',
  method: 'logits',
  temperature: 4,
  alpha: 0.9,
  epochs: 1,
  ...given,
});

/**
 * A convolution, then `blocks` of Conv, Relu, Conv, Add, Relu, of which every third halves the image, then a head: [n,
 * 4, 6, 6] -> [n, 3].
 */
function residual(blocks: number, filters = 8): Model {
  const nodes: Node[] = [node('Conv', ['x', 'stem'], ['s'], { pads: [1, 1, 1, 1] }), node('Relu', ['s'], ['o0'])];
  const initializers: Tensor[] = [randomTensor('stem', [filters, 4, 3, 3], 1)];
  for (let i = 0; i < blocks; i++) {
    const strides = i % 3 === 2 ? [2, 2] : [1, 1];
    nodes.push(
      node('Conv', [`o${i}`, `a${i}`], [`c${i}`], { pads: [1, 1, 1, 1], strides }),
      node('Relu', [`c${i}`], [`r${i}`]),
      node('Conv', [`r${i}`, `b${i}`], [`d${i}`], { pads: [1, 1, 1, 1] }),
    );
    if (i % 3 === 2) nodes.push(node('Conv', [`o${i}`, `p${i}`], [`q${i}`], { strides }));
    nodes.push(
      node('Add', [`d${i}`, i % 3 === 2 ? `q${i}` : `o${i}`], [`e${i}`]),
      node('Relu', [`e${i}`], [`o${i + 1}`]),
    );
    initializers.push(
      randomTensor(`a${i}`, [filters, filters, 3, 3], 10 + i),
      randomTensor(`b${i}`, [filters, filters, 3, 3], 40 + i),
    );
    if (i % 3 === 2) initializers.push(randomTensor(`p${i}`, [filters, filters, 1, 1], 70 + i));
  }
  nodes.push(
    node('GlobalAveragePool', [`o${blocks}`], ['g']),
    node('Flatten', ['g'], ['f']),
    node('Gemm', ['f', 'w', 'd'], ['y'], { transB: 1 }),
  );
  initializers.push(randomTensor('w', [3, filters], 3), tensor('d', [3], [0, 0, 0]));
  return modelOf({ nodes, initializers, inputs: [value('x', ['n', 4, 6, 6])], outputs: [value('y', ['n', 3])] });
}

/**
 * Layers of x + attention(norm(x)) and x + perceptron(norm(x)), one head, on [n, 5, 8]; a mask that every layer reads.
 */
function encoder(layers: number): Model {
  const nodes: Node[] = [
    node('Sub', ['one', 'mask'], ['off']),
    node('Mul', ['off', 'far'], ['hidden']),
    node('MatMul', ['x', 'in'], ['o0']),
    node('Add', ['o0', 'places'], ['h0']),
  ];
  const initializers: Tensor[] = [
    randomTensor('in', [8, 8], 1),
    randomTensor('places', [1, 5, 8], 2),
    tensor('one', [], [1]),
    tensor('far', [], [-1e4]),
    tensor('root', [], [0.35]),
  ];
  for (let i = 0; i < layers; i++) {
    for (const part of ['1', '2'])
      initializers.push(
        tensor(`g${part}.${i}`, [8], new Array<number>(8).fill(1)),
        tensor(`z${part}.${i}`, [8], new Array<number>(8).fill(0)),
      );
    for (const [k, name] of ['q', 'k', 'v', 'o'].entries())
      initializers.push(randomTensor(`${name}.${i}`, [8, 8], 10 * i + k + 3));
    initializers.push(randomTensor(`up.${i}`, [8, 16], 10 * i + 8), randomTensor(`down.${i}`, [16, 8], 10 * i + 9));
    nodes.push(
      node('LayerNormalization', [`h${i}`, `g1.${i}`, `z1.${i}`], [`n1.${i}`]),
      ...['q', 'k', 'v'].map((name) => node('MatMul', [`n1.${i}`, `${name}.${i}`], [`${name}${i}`])),
      node('Transpose', [`k${i}`], [`kt${i}`], { perm: [0, 2, 1] }),
      node('MatMul', [`q${i}`, `kt${i}`], [`s${i}`]),
      node('Mul', [`s${i}`, 'root'], [`t${i}`]),
      node('Add', [`t${i}`, 'hidden'], [`u${i}`]),
      node('Softmax', [`u${i}`], [`p${i}`], { axis: -1 }),
      node('MatMul', [`p${i}`, `v${i}`], [`a${i}`]),
      node('MatMul', [`a${i}`, `o.${i}`], [`b${i}`]),
      node('Add', [`h${i}`, `b${i}`], [`m${i}`]),
      node('LayerNormalization', [`m${i}`, `g2.${i}`, `z2.${i}`], [`n2.${i}`]),
      node('MatMul', [`n2.${i}`, `up.${i}`], [`l${i}`]),
      node('Relu', [`l${i}`], [`w${i}`]),
      node('MatMul', [`w${i}`, `down.${i}`], [`e${i}`]),
      node('Add', [`m${i}`, `e${i}`], [`h${i + 1}`]),
    );
  }
  nodes.push(
    node('ReduceMean', [`h${layers}`], ['r'], { axes: [1], keepdims: 0 }),
    node('MatMul', ['r', 'head'], ['y']),
  );
  initializers.push(randomTensor('head', [8, 3], 99));
  return modelOf({
    nodes,
    initializers,
    inputs: [value('x', ['n', 5, 8]), value('mask', ['n', 1, 5])],
    outputs: [value('y', ['n', 3])],
  });
}

const outputsOfStages = ({ graph, opsets }: Model) => layersOf(stagesOf(graph, opsets)).map(({ output }) => output);

describe('stages', () => {
  test('end where one value carries everything', () => {
    expect(outputsOfStages(residual(3))).toEqual(['o0', 'o1', 'o2', 'f', 'y']);
    expect(outputsOfStages(encoder(2))).toEqual(['h0', 'm0', 'h1', 'm1', 'r', 'y']);
    expect(outputsOfStages(perceptron({ activation: 'Softmax' }))).toEqual(['a1', 'y']);
  });
});

describe('blocks that keep the shape', () => {
  test('of residual networks; those that halve the image stay', () => {
    const found = removableBlocks(residual(6));
    expect(found.sequences.map((sequence) => sequence.map((block) => block.map(({ output }) => output)))).toEqual([
      [['o1'], ['o2']],
      [['o4'], ['o5']],
    ]);
  });

  test('of a transformer: attention goes with the perceptron behind it', () => {
    const found = removableBlocks(encoder(4));
    expect(found.sequences.map((sequence) => sequence.map((block) => block.map(({ output }) => output)))).toEqual([
      [
        ['m0', 'h1'],
        ['m1', 'h2'],
        ['m2', 'h3'],
      ],
    ]);
  });

  test('taken out, leave a model that runs, the same as one made without them', async () => {
    const found = removableBlocks(residual(2));
    const without = withoutBlocks(found, [found.sequences[0]![0]!]);
    const made = residual(2);
    const graph = {
      ...made.graph,
      nodes: made.graph.nodes
        .filter(({ outputs }) => !['c0', 'r0', 'd0', 'e0', 'o1'].includes(outputs[0]!))
        .map((each) => ({ ...each, inputs: each.inputs.map((name) => (name === 'o1' ? 'o0' : name)) })),
    };
    const feeds = { x: floats([2, 4, 6, 6]) };
    const [got, expected] = [await runInOnnxRuntime(without, feeds), await runInOnnxRuntime({ ...made, graph }, feeds)];
    expect(got.get('y')!.data).toEqual(expected.get('y')!.data);
    expect([...without.graph.initializers.keys()]).not.toContain('a0');
  });
});

describe('a derived student', () => {
  test.each([
    [
      { width: 0.5, depth: 1 },
      { width: 0.5, blocks: 6 },
    ],
    [
      { width: 1, depth: 0.5 },
      { width: 1, blocks: 4 },
    ],
    [
      { width: 0.5, depth: 0.5 },
      { width: 0.5, blocks: 4 },
    ],
  ])('%j of a residual network is trained and runs', async (student, expected) => {
    const teacher = residual(6);
    const context = contextFor(teacher, images());
    const { model, kept } = await apply(initialState(teacher), parameters({ student, epochs: 2 }), context);
    const filters = 8 * expected.width;
    const halving = 2 * (9 * 2 + 1) * filters * filters; // two blocks with a projection
    const plain = (expected.blocks - 2) * 9 * 2 * filters * filters;
    expect(countWeights(model.graph).parameters).toBe(4 * 9 * filters + halving + plain + 3 * filters + 3);
    expect(kept.size > 0).toBe(student.width < 1);
    expect(inferShapes(model).typeOf('y')?.shape).toEqual(['n', 3]);
    const got = await runInOnnxRuntime(model, { x: floats([2, 4, 6, 6]) });
    expect(got.get('y')!.dims).toEqual([2, 3]);
    expect(context.warnings).not.toEqual(expect.arrayContaining([expect.stringMatching(/kept/)]));
  });

  test("of another model stands in for the job's own", async () => {
    const teacher = residual(3, 16);
    const own = residual(3);
    const context = contextFor(own, images(), { loadModel: async () => teacher });
    const { model } = await apply(
      initialState(own),
      parameters({ teacher: 'mdl_teacher', student: { width: 0.25, depth: 1 } }),
      context,
    );
    expect(model.graph.initializers.get('stem')!.dims).toEqual([4, 4, 3, 3]);
  });

  test('warns if nothing can be removed', async () => {
    const model = perceptron();
    const frozen: Model = {
      ...model,
      graph: { ...model.graph, outputs: [...model.graph.outputs, value('a1', ['n', 16])] },
    };
    const context = contextFor(frozen, clouds());
    await apply(initialState(frozen), parameters({ student: { width: 0.5, depth: 0.5 } }), context);
    expect(context.warnings).toEqual(expect.arrayContaining(['depth-kept', 'width-kept']));
  });
});
