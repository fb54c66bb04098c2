/**
 * Against integer arithmetic in plain numbers: weights and activations of the largest size, whose products saturate
 * where a processor saturates.
 */
import { describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../../test/support/graphs.ts';
import { writeOnnx } from '../../formats/onnx/write.ts';
import { openRuntime, type Feeds, type RuntimeOptions } from '../../measure/session.ts';
import { makeNode } from '../../ir/edit.ts';
import { integerProducts, saturatingProducts } from '../integer-products.ts';
import type { DataType, Model, Tensor } from '../../ir/types.ts';
import { unsignedWeights } from './unsigned-weights.ts';

const [ROWS, K, N] = [3, 10, 4];
const codes = (length: number, seed: number, low: number, high: number) =>
  Int32Array.from({ length }, (_, i) => Math.round(low + (high - low) * (0.5 + 0.5 * Math.sin(seed * 7.1 + i * 2.3))));
const B = codes(K * N, 2, -127, 127).map((code, i) => (i % 3 === 0 ? 127 : code));
const ZEROS = [3, -5, 0, 7];
const scales = [0.02, 0.013, 0.01, 0.03];
const MS = { domain: 'com.microsoft' };

/** sum (a - za) (b - zb) over k, for A [rows, k] and B [k, n]. */
function exactSums(a: ArrayLike<number>, zeroA: number, zeros: readonly number[]): Float64Array {
  return Float64Array.from({ length: ROWS * N }, (_, i) => {
    let sum = 0;
    for (let p = 0; p < K; p++) sum += (a[Math.floor(i / N) * K + p]! - zeroA) * (B[p * N + (i % N)]! - zeros[i % N]!);
    return sum;
  });
}

const scalar = (name: string, given: number, dtype: DataType = 'float32') => tensor(name, [], [given], dtype);
const vector = (name: string, values: readonly number[], dtype: DataType = 'float32') =>
  tensor(name, [values.length], values, dtype);
const weight: Tensor = tensor('b', [K, N], B, 'int8');

interface Case {
  readonly model: Model;
  /** uint8 or int8 codes of A, or floats. */
  readonly a: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
  readonly tolerance: number;
}

const UNSIGNED = codes(ROWS * K, 1, 120, 255);
const SIGNED = codes(ROWS * K, 1, -128, 127);
const quantize = (
  sums: ArrayLike<number>,
  scale: (column: number) => number,
  [yScale, yZero, low, high]: readonly [number, number, number, number],
) =>
  Float64Array.from({ length: sums.length }, (_, i) =>
    Math.min(high, Math.max(low, Math.round((sums[i]! * scale(i % N)) / yScale) + yZero)),
  );

interface CaseOptions {
  readonly dtype?: DataType;
  readonly more?: Parameters<typeof makeNode>[4];
  readonly attributes?: Parameters<typeof makeNode>[3];
}

function integerCase(
  name: string,
  inputs: readonly string[],
  initializers: readonly Tensor[],
  output: DataType,
  { dtype = 'uint8', more = {}, attributes = {} }: CaseOptions = {},
): Model {
  const [a, y] = [value('a', [ROWS, K], dtype), value('y', [ROWS, N], output)];
  return modelOf({
    nodes: [makeNode(name, inputs, ['y'], attributes, more)],
    initializers: [weight, ...initializers],
    inputs: [a],
    outputs: [y],
    domains: { 'com.microsoft': 1 },
  });
}

const CASES: Readonly<Record<string, Case>> = {
  'MatMulInteger without zero points': {
    model: integerCase('MatMulInteger', ['a', 'b'], [], 'int32'),
    a: UNSIGNED,
    expected: exactSums(UNSIGNED, 0, [0, 0, 0, 0]),
    tolerance: 0,
  },
  'MatMulInteger with zero points per column': {
    model: integerCase(
      'MatMulInteger',
      ['a', 'b', 'za', 'zb'],
      [scalar('za', 117, 'uint8'), vector('zb', ZEROS, 'int8')],
      'int32',
    ),
    a: UNSIGNED,
    expected: exactSums(UNSIGNED, 117, ZEROS),
    tolerance: 0,
  },
  'MatMulInteger of int8 activations': {
    model: integerCase('MatMulInteger', ['a', 'b', 'za'], [scalar('za', -3, 'int8')], 'int32', { dtype: 'int8' }),
    a: SIGNED,
    expected: exactSums(SIGNED, -3, [0, 0, 0, 0]),
    tolerance: 0,
  },
  MatMulIntegerToFloat: {
    model: integerCase(
      'MatMulIntegerToFloat',
      ['a', 'b', 'sa', 'sb', 'za'],
      [scalar('sa', 0.01), vector('sb', scales), scalar('za', 117, 'uint8')],
      'float32',
      { more: MS },
    ),
    a: UNSIGNED,
    expected: exactSums(UNSIGNED, 117, [0, 0, 0, 0]).map((sum, i) => sum * 0.01 * scales[i % N]!),
    tolerance: 1e-4,
  },
  QLinearMatMul: {
    model: integerCase(
      'QLinearMatMul',
      ['a', 'sa', 'za', 'b', 'sb', 'zb', 'sy', 'zy'],
      [
        scalar('sa', 0.02),
        scalar('za', 117, 'uint8'),
        scalar('sb', 0.01),
        scalar('zb', -5, 'int8'),
        scalar('sy', 0.9),
        scalar('zy', 120, 'uint8'),
      ],
      'uint8',
    ),
    a: UNSIGNED,
    expected: quantize(exactSums(UNSIGNED, 117, [-5, -5, -5, -5]), () => 0.0002, [0.9, 120, 0, 255]),
    tolerance: 1,
  },
  'QLinearMatMul of int8 activations': {
    model: integerCase(
      'QLinearMatMul',
      ['a', 'sa', 'za', 'b', 'sb', 'zb', 'sy', 'zy'],
      [
        scalar('sa', 0.02),
        scalar('za', 7, 'int8'),
        scalar('sb', 0.01),
        scalar('zb', 0, 'int8'),
        scalar('sy', 0.9),
        scalar('zy', -8, 'int8'),
      ],
      'int8',
      { dtype: 'int8' },
    ),
    a: SIGNED,
    expected: quantize(exactSums(SIGNED, 7, [0, 0, 0, 0]), () => 0.0002, [0.9, -8, -128, 127]),
    tolerance: 1,
  },
  QGemm: {
    model: integerCase(
      'QGemm',
      ['a', 'sa', 'za', 'b', 'sb', 'zb', '', 'sy', 'zy'],
      [
        scalar('sa', 0.02),
        scalar('za', 117, 'uint8'),
        scalar('sb', 0.01),
        scalar('zb', 0, 'int8'),
        scalar('sy', 0.9),
        scalar('zy', 120, 'uint8'),
      ],
      'uint8',
      { more: MS },
    ),
    a: UNSIGNED,
    expected: quantize(exactSums(UNSIGNED, 117, [0, 0, 0, 0]), () => 0.0002, [0.9, 120, 0, 255]),
    tolerance: 1,
  },
};

const POSITIONS = 6;
/** 1x1 kernels over K channels: each position is a row of A. */
const columns = Int32Array.from(
  { length: K * POSITIONS },
  (_, i) => UNSIGNED[(i % ROWS) * K + Math.floor(i / POSITIONS)]!,
);
const kernel = tensor(
  'b',
  [N, K, 1],
  Int32Array.from({ length: N * K }, (_, i) => B[(i % K) * N + Math.floor(i / K)]!),
  'int8',
);
const perPosition = (sums: ArrayLike<number>) =>
  Float64Array.from(
    { length: N * POSITIONS },
    (_, i) => sums[((i % POSITIONS) % ROWS) * N + Math.floor(i / POSITIONS)]!,
  );
const convolution = (name: string, inputs: readonly string[], initializers: readonly Tensor[], output: DataType) =>
  modelOf({
    nodes: [makeNode(name, inputs, ['y'])],
    initializers: [kernel, ...initializers],
    inputs: [value('a', [1, K, POSITIONS], 'uint8')],
    outputs: [value('y', null, output)],
  });
const CONVOLUTIONS: Readonly<Record<string, Case>> = {
  ConvInteger: {
    model: convolution('ConvInteger', ['a', 'b', 'za'], [scalar('za', 117, 'uint8')], 'int32'),
    a: columns,
    expected: perPosition(exactSums(UNSIGNED, 117, [0, 0, 0, 0])),
    tolerance: 0,
  },
  'QLinearConv per channel': {
    model: convolution(
      'QLinearConv',
      ['a', 'sa', 'za', 'b', 'sb', 'zb', 'sy', 'zy'],
      [
        scalar('sa', 0.02),
        scalar('za', 117, 'uint8'),
        vector('sb', scales),
        vector('zb', [0, 0, 0, 0], 'int8'),
        scalar('sy', 0.9),
        scalar('zy', 120, 'uint8'),
      ],
      'uint8',
    ),
    a: columns,
    expected: perPosition(
      quantize(exactSums(UNSIGNED, 117, [0, 0, 0, 0]), (column) => 0.02 * scales[column]!, [0.9, 120, 0, 255]),
    ),
    tolerance: 1,
  },
};

/**
 * Floats whose codes are A's, between quantizers. `fromFloats`: the weight is a float that a QuantizeLinear codes, as
 * after quantization-aware training.
 */
function betweenQuantizers(fromFloats: boolean): Case {
  const floats = tensor(
    'w',
    [K, N],
    Float32Array.from(B, (code) => code * 0.01),
  );
  const model = modelOf({
    nodes: [
      makeNode('QuantizeLinear', ['a', 'sa', 'za'], ['aq']),
      makeNode('DequantizeLinear', ['aq', 'sa', 'za'], ['ad']),
      ...(fromFloats ? [makeNode('QuantizeLinear', ['w', 'sb', 'zb'], ['b'])] : []),
      makeNode('DequantizeLinear', ['b', 'sb', ...(fromFloats ? ['zb'] : [])], ['bd']),
      makeNode('MatMul', ['ad', 'bd'], ['m']),
      makeNode('QuantizeLinear', ['m', 'sy', 'zy'], ['q']),
      makeNode('DequantizeLinear', ['q', 'sy', 'zy'], ['y']),
    ],
    initializers: [
      ...(fromFloats ? [floats] : [weight]),
      scalar('sa', 0.02),
      scalar('za', 117, 'uint8'),
      scalar('sb', 0.01),
      scalar('zb', 0, 'int8'),
      scalar('sy', 0.9),
      scalar('zy', 120, 'uint8'),
    ],
    inputs: [value('a', [ROWS, K])],
    outputs: [value('y', [ROWS, N])],
  });
  const expected = quantize(exactSums(UNSIGNED, 117, [0, 0, 0, 0]), () => 0.0002, [0.9, 120, 0, 255]).map(
    (code) => (code - 120) * 0.9,
  );
  return { model, a: Float32Array.from(UNSIGNED, (code) => (code - 117) * 0.02), expected, tolerance: 0.901 };
}

async function run(model: Model, a: ArrayLike<number>, options: RuntimeOptions = {}): Promise<ArrayLike<number>> {
  const { type } = model.graph.inputs[0]!;
  const runtime = await openRuntime(writeOnnx(model), options);
  const data =
    type!.dtype === 'float32'
      ? Float32Array.from(a)
      : type!.dtype === 'uint8'
        ? Uint8Array.from(a)
        : Int32Array.from(a);
  const dtype = type!.dtype === 'float32' ? 'float32' : type!.dtype === 'uint8' ? 'uint8' : 'int32';
  const feeds: Feeds = new Map([['a', { dtype, shape: type!.shape as number[], data }]]);
  try {
    return [...(await runtime.run(feeds)).values()][0]!.data;
  } finally {
    await runtime.release();
  }
}

describe('uint8 weights give the exact result', () => {
  it.each(
    Object.entries({
      ...CASES,
      ...CONVOLUTIONS,
      'MatMul between quantizers': betweenQuantizers(false),
      'MatMul between quantizers, its weight a float': betweenQuantizers(true),
    }),
  )('%s', async (_, { model, a, expected, tolerance }) => {
    const exact = unsignedWeights(model);
    expect(exact).not.toBe(model);
    expect(
      [...exact.graph.initializers.values()].filter(
        ({ dims, dtype }) =>
          dims.length > 1 && dtype === 'int8' && exact.graph.nodes.some(({ inputs }) => inputs.includes('b')),
      ),
    ).toEqual([]);
    const got = await run(exact, a);
    expect(got).toHaveLength(expected.length);
    for (let i = 0; i < got.length; i++) expect(Math.abs(got[i]! - expected[i]!)).toBeLessThanOrEqual(tolerance);
  });

  it('and leave alone what multiplies no int8 weights', () => {
    const floats = modelOf({
      nodes: [makeNode('MatMul', ['a', 'w'], ['y'])],
      initializers: [tensor('w', [2, 2], [1, 2, 3, 4])],
      inputs: [value('a', ['n', 2])],
      outputs: [value('y', ['n', 2])],
    });
    expect(unsignedWeights(floats)).toBe(floats);
  });
});

/** Weights of 6 bits, which no processor saturates on. */
const small = (name: string, dims: readonly number[], seed: number) =>
  tensor(
    name,
    dims,
    codes(
      dims.reduce((x, y) => x * y, 1),
      seed,
      -31,
      31,
    ),
    'int8',
  );
const HIDDEN = 4;
const OPERATORS: Readonly<Record<string, Model>> = {
  QAttention: modelOf({
    nodes: [
      makeNode('DynamicQuantizeLinear', ['a'], ['aq', 'sa', 'za']),
      makeNode('QAttention', ['aq', 'b', 'bias', 'sa', 'sb', '', 'za', 'zb'], ['y'], { num_heads: 2 }, MS),
    ],
    initializers: [
      small('b', [8, 24], 3),
      tensor('bias', [24], new Float32Array(24)),
      scalar('sb', 0.02),
      scalar('zb', 0, 'int8'),
    ],
    inputs: [value('a', [2, 3, 8])],
    outputs: [value('y', [2, 3, 8])],
    domains: { 'com.microsoft': 1 },
  }),
  DynamicQuantizeLSTM: modelOf({
    nodes: [
      makeNode(
        'DynamicQuantizeLSTM',
        ['a', 'w', 'r', '', '', '', '', '', 'sw', 'zw', 'sr', 'zr'],
        ['y'],
        { hidden_size: HIDDEN },
        MS,
      ),
    ],
    initializers: [
      small('w', [1, 8, 4 * HIDDEN], 4),
      small('r', [1, HIDDEN, 4 * HIDDEN], 5),
      vector('sw', [0.02]),
      vector('zw', [0], 'int8'),
      vector('sr', [0.02]),
      vector('zr', [0], 'int8'),
    ],
    inputs: [value('a', [3, 2, 8])],
    outputs: [value('y', null)],
    domains: { 'com.microsoft': 1 },
  }),
};

describe('operators of onnxruntime with weights inside', () => {
  it.each(Object.entries(OPERATORS))('%s: the same as with int8 weights', async (_, model) => {
    const a = Float32Array.from({ length: 48 }, (__, i) => Math.sin(i));
    const [before, after] = [await run(model, a), await run(unsignedWeights(model), a)];
    expect(after.length).toBeGreaterThan(0);
    for (let i = 0; i < after.length; i++) expect(after[i]).toBeCloseTo(before[i]!, 5);
    expect(Math.max(...Array.from(after, Math.abs))).toBeGreaterThan(0.01);
  });
});

describe('saturatingProducts', () => {
  it('names the products whose weights have neighbours that pass the limit', () => {
    const of = (values: readonly number[]) =>
      saturatingProducts(
        modelOf({
          nodes: [makeNode('MatMulInteger', ['a', 'b'], ['y'])],
          initializers: [tensor('b', [values.length, 1], values, 'int8')],
          inputs: [value('a', [1, values.length], 'uint8')],
          outputs: [value('y', null, 'int32')],
        }).graph,
      ).length;
    expect([of([127, 1, 0, 127]), of([127, -127, 127]), of([64, 64, -64, -64])]).toEqual([0, 0, 0]);
    expect([of([127, 2]), of([0, 65, 64]), of([-100, -29])]).toEqual([1, 1, 1]);
  });

  it('finds products of every kind', () => {
    for (const { model } of Object.values({ ...CASES, ...CONVOLUTIONS, quantizers: betweenQuantizers(true) }))
      expect(integerProducts(model.graph)).toHaveLength(1);
  });
});
