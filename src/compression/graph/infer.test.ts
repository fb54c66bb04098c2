import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { projectRoot } from '../../process/entry.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { makeNode } from '../ir/edit.ts';
import { inferShapes } from './infer.ts';
import { inlineFunctions } from './passes/inline-functions.ts';
import type { Graph, Model } from '../ir/types.ts';

const shapeOf = (model: Model, name: string, options: Parameters<typeof inferShapes>[1] = {}) =>
  inferShapes(model, options).typeOf(name)?.shape;

describe('open dimensions', () => {
  const conv = modelOf({
    nodes: [
      makeNode('Conv', ['x', 'w'], ['c'], { pads: [1, 1, 1, 1], strides: [2, 2] }),
      makeNode('Relu', ['c'], ['r']),
      makeNode('GlobalAveragePool', ['r'], ['y']),
    ],
    initializers: [tensor('w', [8, 3, 3, 3], new Float32Array(216))],
    inputs: [value('x', ['n', 3, 'h', 32])],
    outputs: [value('y', null)],
  });

  it('are carried through', () => {
    expect(shapeOf(conv, 'r')!.filter((_, axis) => axis !== 2)).toEqual(['n', 8, 16]);
    expect(typeof shapeOf(conv, 'r')![2]).not.toBe('number');
    expect(shapeOf(conv, 'y')).toEqual(['n', 8, 1, 1]);
  });

  it('take the sizes they are bound to', () => {
    expect(shapeOf(conv, 'r', { bindings: { n: 4, h: 64 } })).toEqual([4, 8, 32, 16]);
    expect(shapeOf(conv, 'r', { inputShapes: new Map([['x', [1, 3, 20, 20]]]) })).toEqual([1, 8, 10, 10]);
  });

  it('without a name still match themselves', () => {
    const model = modelOf({
      nodes: [makeNode('Add', ['x', 'x'], ['y'])],
      inputs: [value('x', [null, 3])],
      outputs: [value('y', null)],
    });
    const [open, fixed] = shapeOf(model, 'y')!;
    expect(open).toBe(shapeOf(model, 'x')![0]);
    expect(fixed).toBe(3);
  });
});

describe('shape arithmetic', () => {
  /** Flattens all but the first axis the way exporters write it: Reshape(x, Concat(Gather(Shape(x), 0), -1)). */
  const flatten = modelOf({
    nodes: [
      makeNode('Shape', ['x'], ['shape']),
      makeNode('Gather', ['shape', 'zero'], ['first']),
      makeNode('Unsqueeze', ['first', 'axis'], ['lifted']),
      makeNode('Concat', ['lifted', 'rest'], ['target'], { axis: 0 }),
      makeNode('Reshape', ['x', 'target'], ['y']),
    ],
    initializers: [
      tensor('zero', [], [0], 'int64'),
      tensor('axis', [1], [0], 'int64'),
      tensor('rest', [1], [-1], 'int64'),
    ],
    inputs: [value('x', ['n', 4, 5])],
    outputs: [value('y', null)],
  });

  it('is followed with an open dimension in it', () => {
    expect(inferShapes(flatten).elementsOf('target')).toEqual(['n', -1]);
    expect(shapeOf(flatten, 'y')).toEqual(['n', 20]);
  });

  it('becomes constant once the dimension is bound', () => {
    const table = inferShapes(flatten, { bindings: { n: 7 } });
    expect(table.typeOf('y')!.shape).toEqual([7, 20]);
    expect([...(table.constantOf('target')!.data as BigInt64Array)]).toEqual([7n, -1n]);
  });

  it('folds constants of any kind', () => {
    const model = modelOf({
      nodes: [
        makeNode('Constant', [], ['a'], { value_ints: [2, 3] }),
        makeNode('Mul', ['a', 'a'], ['b']),
        makeNode('ConstantOfShape', ['b'], ['y']),
      ],
      inputs: [],
      outputs: [value('y', null)],
    });
    expect(shapeOf(model, 'y')).toEqual([4, 9]);
  });
});

describe('what the file declares', () => {
  const unknown = (declared: ReturnType<typeof value>) =>
    modelOf({
      nodes: [makeNode('Mystery', ['x'], ['t'], {}, { domain: 'vendor' }), makeNode('Relu', ['t'], ['y'])],
      inputs: [value('x', [2])],
      outputs: [value('y', null)],
      valueInfos: [declared],
    });

  it('fills in behind unknown operators', () => {
    expect(shapeOf(unknown(value('t', [5, 'k'])), 'y')).toEqual([5, 'k']);
    expect(inferShapes(unknown(value('other', [1]))).typeOf('t')).toBeNull();
  });

  it('gives way, with a note, where operators say otherwise', () => {
    const model = modelOf({
      nodes: [makeNode('Relu', ['x'], ['t']), makeNode('Relu', ['t'], ['y'])],
      inputs: [value('x', [2, 3])],
      outputs: [value('y', null)],
      valueInfos: [value('t', [2, 4])],
    });
    const table = inferShapes(model);
    expect(table.typeOf('t')!.shape).toEqual([2, 3]);
    expect(table.contradictions).toEqual(['"t" is declared [2, 4], but is [2, 3]']);
  });

  it('is an error where the element type is another one', () => {
    const model = modelOf({
      nodes: [makeNode('Relu', ['x'], ['y'])],
      inputs: [value('x', [2])],
      outputs: [value('y', [2], 'int64')],
    });
    expect(() => inferShapes(model)).toThrow(
      expect.objectContaining({
        code: 'malformed-model',
        message: expect.stringMatching(/node "y" \(Relu\).*declared int64, but is float32/),
      }),
    );
  });
});

describe('contradictions name the node', () => {
  it.each<[string, Model]>([
    [
      'Conv',
      modelOf({
        nodes: [makeNode('Conv', ['x', 'w'], ['y'], {}, { name: 'here' })],
        initializers: [tensor('w', [8, 4, 3, 3], new Float32Array(288))],
        inputs: [value('x', [1, 3, 8, 8])],
        outputs: [value('y', null)],
      }),
    ],
    [
      'MatMul',
      modelOf({
        nodes: [makeNode('MatMul', ['x', 'w'], ['y'], {}, { name: 'here' })],
        initializers: [tensor('w', [4, 2], new Float32Array(8))],
        inputs: [value('x', [1, 3])],
        outputs: [value('y', null)],
      }),
    ],
    [
      'Relu',
      modelOf({
        nodes: [makeNode('Conv', ['x', 'w'], ['y'], { pads: { float: 1 } }, { name: 'here' })],
        initializers: [tensor('w', [1, 3, 1, 1], [1, 1, 1])],
        inputs: [value('x', [1, 3, 8, 8])],
        outputs: [value('y', null)],
      }),
    ],
  ])('%s', (_, model) => {
    expect(() => inferShapes(model)).toThrow(
      expect.objectContaining({ code: 'malformed-model', message: expect.stringMatching(/node "here"/) }),
    );
  });
});

it('subgraphs have tables of their own, which see the values around them', () => {
  const branch = (rows: number): Graph =>
    modelOf({
      nodes: [makeNode('MatMul', ['x', 'w'], ['r'])],
      initializers: [tensor('w', [3, rows], new Float32Array(3 * rows))],
      inputs: [],
      outputs: [value('r', null)],
    }).graph;
  const model = modelOf({
    nodes: [
      makeNode('If', ['c'], ['y'], {
        then_branch: { kind: 'graph', value: branch(4) },
        else_branch: { kind: 'graph', value: branch(4) },
      }),
    ],
    inputs: [value('x', ['n', 3]), value('c', [], 'bool')],
    outputs: [value('y', null)],
  });
  const table = inferShapes(model);
  const then = model.graph.nodes[0]!.attributes.get('then_branch') as { value: Graph };
  expect(table.subgraph(then.value)!.typeOf('r')!.shape).toEqual(['n', 4]);
  expect(table.typeOf('y')!.shape).toEqual(['n', 4]);
});

// The models of ONNX's own test suite, where the folder is given: what is inferred without looking at declared outputs
// must not contradict them.
const folder = process.env['LATHE_ONNX_TESTS'];
it.skipIf(!folder)('agrees with every output that the ONNX tests declare', () => {
  const wrong: string[] = [];
  for (const file of readdirSync(folder!, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.onnx'),
  )) {
    const model = inlineFunctions(readOnnx(readFileSync(join(folder!, file))));
    const silent = {
      ...model,
      graph: { ...model.graph, valueInfos: [], outputs: model.graph.outputs.map(({ name }) => ({ name, type: null })) },
    };
    const table = inferShapes(silent);
    for (const { name, type } of model.graph.outputs)
      if (!agree(table.typeOf(name), type))
        wrong.push(`${file} ${name}: ${JSON.stringify(table.typeOf(name))}, declared ${JSON.stringify(type)}`);
  }
  expect(wrong).toEqual([]);
});

function agree(
  inferred: { dtype: string; shape: readonly unknown[] | null } | null,
  declared: typeof inferred,
): boolean {
  if (!inferred || !declared) return true;
  if (inferred.dtype !== declared.dtype && inferred.dtype !== 'undefined') return false;
  if (!inferred.shape || !declared.shape) return true;
  return (
    inferred.shape.length === declared.shape.length &&
    inferred.shape.every(
      (dim, i) => typeof dim !== 'number' || typeof declared.shape![i] !== 'number' || dim === declared.shape![i],
    )
  );
}

it('the example model is known throughout', () => {
  const model = readOnnx(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));
  const table = inferShapes(model, { inputShapes: new Map([['input', [5, 1, 28, 28]]]) });
  for (const node of model.graph.nodes)
    expect(
      table.typeOf(node.outputs[0]!)!.shape!.every((dim) => typeof dim === 'number'),
      node.name,
    ).toBe(true);
  expect(table.typeOf('logits')!.shape).toEqual([5, 10]);
});
