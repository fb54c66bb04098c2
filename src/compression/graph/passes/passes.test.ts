import type * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { floats, modelOf, runInOnnxRuntime, spread, tensor, value } from '../../../../test/support/graphs.ts';
import { makeNode } from '../../ir/edit.ts';
import type { FunctionDefinition, Graph, Model } from '../../ir/types.ts';
import { constantsAsInitializers } from './constants-as-initializers.ts';
import { foldBatchNorm } from './fold-batch-norm.ts';
import { inlineFunctions } from './inline-functions.ts';
import { resolveControlFlow } from './resolve-control-flow.ts';
import { splitFused } from './split-fused.ts';

const types = (model: Model): string[] => model.graph.nodes.map(({ opType }) => opType);

/** Largest difference of any output between two models. */
async function difference(a: Model, b: Model, feeds: Readonly<Record<string, ort.Tensor>>): Promise<number> {
  const [before, after] = [await runInOnnxRuntime(a, feeds), await runInOnnxRuntime(b, feeds)];
  let worst = 0;
  for (const [name, { dims, data }] of before) {
    const other = after.get(name)!;
    expect(other.dims).toEqual(dims);
    for (let i = 0; i < data.length; i++) worst = Math.max(worst, Math.abs(Number(data[i]) - Number(other.data[i])));
  }
  return worst;
}

describe('foldBatchNorm', () => {
  const statistics = (channels: number) => [
    tensor('scale', [channels], spread(channels, 2)),
    tensor('shift', [channels], spread(channels, 3)),
    tensor('mean', [channels], spread(channels, 4)),
    tensor(
      'variance',
      [channels],
      spread(channels, 5).map((v) => v * v + 0.1),
    ),
  ];
  const norm = makeNode('BatchNormalization', ['t', 'scale', 'shift', 'mean', 'variance'], ['y'], {
    epsilon: { float: 1e-3 },
  });
  const build = (
    product: ReturnType<typeof makeNode>,
    x: readonly number[],
    weights: ReturnType<typeof tensor>[],
    channels: number,
  ) =>
    modelOf({
      nodes: [product, norm],
      initializers: [...weights, ...statistics(channels)],
      inputs: [value('x', x)],
      outputs: [value('y', null)],
    });

  it.each<[string, Model, readonly number[]]>([
    [
      'Conv',
      build(
        makeNode('Conv', ['x', 'w', 'b'], ['t']),
        [2, 3, 5, 5],
        [tensor('w', [4, 3, 3, 3], spread(108)), tensor('b', [4], spread(4))],
        4,
      ),
      [2, 3, 5, 5],
    ],
    [
      'Conv without bias, depthwise',
      build(
        makeNode('Conv', ['x', 'w'], ['t'], { group: 4 }),
        [1, 4, 5, 5],
        [tensor('w', [4, 1, 3, 3], spread(36))],
        4,
      ),
      [1, 4, 5, 5],
    ],
    [
      '1-D Conv',
      build(makeNode('Conv', ['x', 'w'], ['t']), [1, 2, 9], [tensor('w', [3, 2, 3], spread(18))], 3),
      [1, 2, 9],
    ],
    [
      'ConvTranspose in groups',
      build(
        makeNode('ConvTranspose', ['x', 'w'], ['t'], { group: 2 }),
        [1, 4, 3, 3],
        [tensor('w', [4, 3, 2, 2], spread(48))],
        6,
      ),
      [1, 4, 3, 3],
    ],
    [
      'Gemm, transposed, alpha and beta',
      build(
        makeNode('Gemm', ['x', 'w', 'b'], ['t'], { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }),
        [2, 3],
        [tensor('w', [4, 3], spread(12)), tensor('b', [4], spread(4))],
        4,
      ),
      [2, 3],
    ],
    ['Gemm', build(makeNode('Gemm', ['x', 'w'], ['t']), [2, 3], [tensor('w', [3, 4], spread(12))], 4), [2, 3]],
    ['MatMul', build(makeNode('MatMul', ['x', 'w'], ['t']), [2, 3], [tensor('w', [3, 4], spread(12))], 4), [2, 3]],
  ])('%s', async (_, model, shape) => {
    const folded = foldBatchNorm(model);
    expect(types(folded).length).toBe(1);
    expect([...folded.graph.initializers.keys()].some((name) => ['scale', 'mean'].includes(name))).toBe(false);
    // float32 rounding of sums of a few dozen terms near 1
    expect(await difference(model, folded, { x: floats(shape) })).toBeLessThan(2e-6);
  });

  it('leaves a product that is read elsewhere, and a shared weight whole for its other user', async () => {
    const model = build(makeNode('Conv', ['x', 'w'], ['t']), [1, 2, 4, 4], [tensor('w', [2, 2, 1, 1], spread(4))], 2);
    const read = { ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, value('t', null)] } };
    expect(foldBatchNorm(read)).toBe(read);
    const shared = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [...model.graph.nodes, makeNode('Conv', ['x', 'w'], ['z'])],
        outputs: [...model.graph.outputs, value('z', null)],
      },
    };
    expect(types(foldBatchNorm(shared))).toEqual(['Conv', 'Conv']);
    expect(await difference(shared, foldBatchNorm(shared), { x: floats([1, 2, 4, 4]) })).toBeLessThan(2e-6);
  });

  it('leaves training mode alone', () => {
    const model = build(makeNode('Conv', ['x', 'w'], ['t']), [1, 2, 4, 4], [tensor('w', [2, 2, 1, 1], spread(4))], 2);
    const training = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [
          model.graph.nodes[0]!,
          { ...norm, attributes: new Map([...norm.attributes, ['training_mode', { kind: 'int', value: 1 } as const]]) },
        ],
      },
    };
    expect(foldBatchNorm(training)).toBe(training);
  });
});

describe('inlineFunctions', () => {
  /** scaled(a; factor) = a * factor + a, where factor is an attribute with default 2. */
  const scaled: FunctionDefinition = {
    name: 'Scaled',
    domain: 'local',
    overload: '',
    inputs: ['a'],
    outputs: ['r'],
    attributes: [],
    attributeDefaults: new Map([['factor', { kind: 'float', value: 2 }]]),
    opsets: new Map([['', 17]]),
    nodes: [
      makeNode('Constant', [], ['f'], { value_float: { kind: 'reference', value: 'factor' } }),
      makeNode('Mul', ['a', 'f'], ['m']),
      makeNode('Add', ['m', 'a'], ['r']),
    ],
  };
  /** twice(a) = scaled(scaled(a; 3)). */
  const twice: FunctionDefinition = {
    ...scaled,
    name: 'Twice',
    attributeDefaults: new Map(),
    opsets: new Map([
      ['', 17],
      ['local', 1],
    ]),
    nodes: [
      makeNode('Scaled', ['a'], ['m'], { factor: { float: 3 } }, { domain: 'local' }),
      makeNode('Scaled', ['m'], ['r'], {}, { domain: 'local' }),
    ],
  };
  const model = modelOf({
    nodes: [
      makeNode('Relu', ['x'], ['m']),
      makeNode('Twice', ['m'], ['y'], {}, { domain: 'local' }),
      makeNode('Scaled', ['y'], ['z'], {}, { domain: 'local' }),
    ],
    inputs: [value('x', [4])],
    outputs: [value('y', [4]), value('z', [4])],
    functions: [twice, scaled],
    domains: { local: 1 },
  });

  it('computes what the calls computed', async () => {
    const inlined = inlineFunctions(model);
    expect(inlined.functions).toEqual([]);
    expect(new Set(types(inlined))).toEqual(new Set(['Relu', 'Constant', 'Mul', 'Add']));
    expect(await difference(model, inlined, { x: floats([4]) })).toBe(0);
  });

  it('carries an output that is an input of the function', async () => {
    const through: FunctionDefinition = { ...scaled, name: 'Through', outputs: ['r', 'a'] };
    const call = modelOf({
      nodes: [makeNode('Through', ['x'], ['y', 'same'], {}, { domain: 'local' })],
      inputs: [value('x', [4])],
      outputs: [value('y', [4]), value('same', [4])],
      functions: [through],
      domains: { local: 1 },
    });
    const outputs = await runInOnnxRuntime(inlineFunctions(call), { x: floats([4]) });
    expect(outputs.get('same')!.data).toEqual(spread(4));
  });
});

describe('resolveControlFlow', () => {
  const branch = (opType: string, captured = 'x'): Graph =>
    modelOf({ nodes: [makeNode(opType, [captured], ['r'])], inputs: [], outputs: [value('r', null)] }).graph;
  const conditional = (condition: number) =>
    modelOf({
      nodes: [
        makeNode('If', ['cond'], ['y'], {
          then_branch: { kind: 'graph', value: branch('Relu') },
          else_branch: { kind: 'graph', value: branch('Neg') },
        }),
        makeNode('Abs', ['y'], ['r']),
      ],
      initializers: [tensor('cond', [], [condition], 'bool')],
      inputs: [value('x', [4])],
      outputs: [value('y', [4]), value('r', [4])],
    });

  it.each([
    [1, 'Relu'],
    [0, 'Neg'],
  ])('takes the branch of an If that is %i', async (condition, expected) => {
    const model = conditional(condition);
    const resolved = resolveControlFlow(model);
    expect(types(resolved)).toEqual([expected, 'Abs']);
    expect(await difference(model, resolved, { x: floats([4]) })).toBe(0);
  });

  it('leaves an If that depends on the input', () => {
    const model = modelOf({
      ...conditional(1),
      nodes: conditional(1).graph.nodes,
      inputs: [value('x', [4]), value('cond', [], 'bool')],
      outputs: [value('y', [4])],
    });
    expect(resolveControlFlow(model)).toBe(model);
  });

  it('takes branches that only hand values through', async () => {
    const through: Graph = {
      ...branch('Relu'),
      nodes: [],
      outputs: [value('x', null), value('k', null), value('x', null)],
      initializers: new Map([['k', tensor('k', [1], [7])]]),
    };
    const model = modelOf({
      nodes: [
        makeNode('If', ['cond'], ['a', 'b', 'c'], {
          then_branch: { kind: 'graph', value: through },
          else_branch: { kind: 'graph', value: through },
        }),
      ],
      initializers: [tensor('cond', [], [1], 'bool')],
      inputs: [value('x', [4])],
      outputs: [value('a', [4]), value('b', [1]), value('c', [4])],
    });
    const outputs = await runInOnnxRuntime(resolveControlFlow(model), { x: floats([4]) });
    expect(outputs.get('a')!.data).toEqual(spread(4));
    expect(outputs.get('b')!.data).toEqual(Float32Array.of(7));
    expect(outputs.get('c')!.data).toEqual(spread(4));
  });

  const loop = (trips: number) => {
    const body: Graph = {
      ...modelOf({
        nodes: [
          makeNode('Identity', ['go'], ['stay']),
          makeNode('Cast', ['i'], ['f'], { to: 1 }),
          makeNode('Add', ['v', 'f'], ['t']),
          makeNode('Mul', ['t', 'w'], ['next']),
          makeNode('Sub', ['next', 'x'], ['scan']),
        ],
        initializers: [tensor('w', [4], [0.5, 1, 1.5, 2])],
        inputs: [value('i', [], 'int64'), value('go', [], 'bool'), value('v', [4])],
        outputs: [value('stay', [], 'bool'), value('next', [4]), value('scan', [4])],
      }).graph,
    };
    return modelOf({
      nodes: [makeNode('Loop', ['trips', 'yes', 'x'], ['last', 'all'], { body: { kind: 'graph', value: body } })],
      initializers: [tensor('trips', [], [trips], 'int64'), tensor('yes', [], [1], 'bool')],
      inputs: [value('x', [4])],
      outputs: [value('last', [4]), value('all', [null, 4])],
    });
  };

  it('unrolls a Loop of known length, stacking its scan outputs', async () => {
    const resolved = resolveControlFlow(loop(3));
    expect(types(resolved)).not.toContain('Loop');
    expect(await difference(loop(3), resolved, { x: floats([4]) })).toBeLessThan(1e-6);
  });

  it('leaves long loops, and those without rounds but with scan outputs', () => {
    for (const model of [loop(1000), loop(0)]) expect(resolveControlFlow(model)).toBe(model);
  });
});

describe('constantsAsInitializers', () => {
  it('takes every form, keeps graph outputs', () => {
    const model = modelOf({
      nodes: [
        makeNode('Constant', [], ['a'], { value: { kind: 'tensor', value: tensor('other', [2], [1, 2]) } }),
        makeNode('Constant', [], ['b'], { value_ints: [3, 4] }),
        makeNode('Constant', [], ['y'], { value_float: { float: 1 } }),
        makeNode('Constant', [], ['s'], { value_strings: { kind: 'strings', value: ['p', 'q'] } }),
        makeNode('Constant', [], ['c'], { value_int: 5 }),
        makeNode('Constant', [], ['d'], { value_floats: { floats: [0.5] } }),
      ],
      inputs: [],
      outputs: [value('y', [])],
    });
    const { graph } = constantsAsInitializers(model);
    expect(graph.nodes.map(({ outputs }) => outputs[0])).toEqual(['y']);
    expect([...graph.initializers.values()].map(({ name, dtype, dims }) => [name, dtype, dims])).toEqual([
      ['a', 'float32', [2]],
      ['b', 'int64', [2]],
      ['s', 'string', [2]],
      ['c', 'int64', []],
      ['d', 'float32', [1]],
    ]);
  });
});

describe('splitFused', () => {
  const conv = [tensor('w', [4, 3, 3, 3], spread(108)), tensor('b', [4], spread(4))];
  const image = [2, 3, 5, 5];
  const product = [tensor('w', [4, 3], spread(12)), tensor('b', [4], spread(4))];
  const fused = (opType: string, inputs: readonly string[], attributes = {}) =>
    makeNode(opType, inputs, ['y'], attributes, { domain: 'com.microsoft' });
  const build = (
    node: ReturnType<typeof makeNode>,
    shape: readonly number[],
    initializers: ReturnType<typeof tensor>[],
    opset = 17,
  ) =>
    modelOf({
      nodes: [node],
      initializers,
      inputs: [value('x', shape)],
      outputs: [value('y', null)],
      opset,
      domains: { 'com.microsoft': 1 },
    });

  it.each<[string, Model, readonly number[], readonly string[]]>([
    [
      'an addend and Relu',
      build(fused('FusedConv', ['x', 'w', '', 'z'], { activation: 'Relu', pads: [1, 1, 1, 1] }), image, [
        conv[0]!,
        tensor('z', [2, 4, 5, 5], spread(200, 2)),
      ]),
      image,
      ['Conv', 'Add', 'Relu'],
    ],
    [
      'Clip',
      build(
        fused('FusedConv', ['x', 'w', 'b'], { activation: 'Clip', activation_params: { floats: [-0.25, 0.5] } }),
        image,
        conv,
      ),
      image,
      ['Conv', 'Clip'],
    ],
    [
      'Clip with attributes',
      build(
        fused('FusedConv', ['x', 'w', 'b'], { activation: 'Clip', activation_params: { floats: [-0.25, 0.5] } }),
        image,
        conv,
        10,
      ),
      image,
      ['Conv', 'Clip'],
    ],
    [
      'HardSigmoid',
      build(
        fused('FusedConv', ['x', 'w', 'b'], { activation: 'HardSigmoid', activation_params: { floats: [0.3, 0.4] } }),
        image,
        conv,
      ),
      image,
      ['Conv', 'HardSigmoid'],
    ],
    [
      'a product and LeakyRelu',
      build(
        fused('FusedGemm', ['x', 'w', 'b'], { transB: 1, activation: 'LeakyRelu', activation_alpha: { float: 0.3 } }),
        [2, 3],
        product,
      ),
      [2, 3],
      ['Gemm', 'LeakyRelu'],
    ],
  ])('%s', async (_, model, shape, operators) => {
    const split = splitFused(model);
    expect(types(split)).toEqual(operators);
    expect(await difference(model, split, { x: floats(shape) })).toBeLessThan(2e-6); // as above
  });

  it('leaves what has no standard form', () => {
    const model = build(fused('FusedConv', ['x', 'w', 'b'], { activation: 'Swirl' }), image, conv);
    expect(splitFused(model)).toBe(model);
  });
});
