/** Arithmetic of two or more operands with broadcasting. */
import { nth } from '../ir/checked-access.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { elementwise, legacyElementwise } from './channels/elementwise.ts';
import { exactIntegers, FOLLOWS, FULL, partialBinary, type HostForm, needs, required } from './define.ts';
import { maximum, minimum, modulo, power, powerOf } from './device/elementwise.ts';
import { isInteger } from './host/data.ts';
import { map, zip, type Binary } from './host/elementwise.ts';
import { cast } from './host/cast.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { broadcastType, resolveAxis, typeOf } from './shapes.ts';

type Fold = (a: TfTensor, b: TfTensor) => TfTensor;

/** Integer division truncates towards zero; division by zero (undefined in ONNX) gives 0. */
const INTEGER_DIVIDE: Binary = {
  number: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
  big: (a, b) => (b === 0n ? 0n : a / b),
};

const ADD: Binary = { number: (a, b) => a + b, big: (a, b) => a + b };
const SUBTRACT: Binary = { number: (a, b) => a - b, big: (a, b) => a - b };
const MULTIPLY: Binary = { number: (a, b) => a * b, int32: Math.imul, big: (a, b) => a * b };
const DIVIDE: Binary = { number: (a, b) => a / b };
const MAXIMUM: Binary = { number: Math.max, big: (a, b) => (a > b ? a : b) };
const MINIMUM: Binary = { number: Math.min, big: (a, b) => (a < b ? a : b) };
const FLOOR_MOD: Binary = { number: floorMod, big: (a, b) => (b === 0n ? 0n : ((a % b) + b) % b) };
const TRUNCATED_MOD: Binary = { number: (a, b) => a % b, big: (a, b) => (b === 0n ? 0n : a % b) };

/** Python's modulo: the sign of the divisor. */
function floorMod(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return Math.sign(b) * 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

/** C's pow: 1 to any power is 1, and (-1)^infinity as well; JavaScript says NaN. */
function pow(a: number, b: number): number {
  return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b;
}

function bigPow(a: bigint, b: bigint): bigint {
  if (b >= 0n) return a ** (b < 64n || a * a <= 1n ? b : 64n); // from 2^64 on every even power wraps to 0
  if (a === 1n) return 1n;
  return a === -1n ? (b % 2n === 0n ? 1n : -1n) : 0n;
}

/** Base and exponent may differ in type; the result has the base's. */
function powOnHost(base: HostTensor, exponent: HostTensor): HostTensor {
  if (base.dtype !== 'int64' && base.dtype !== 'uint64') {
    if (!isInteger(base.dtype) || !isInteger(exponent.dtype))
      return cast(zip(cast(base, 'float64'), cast(exponent, 'float64'), { number: pow }), base.dtype);
    return cast(zip(cast(base, 'int64'), cast(exponent, 'int64'), { big: bigPow }), base.dtype);
  }
  if (isInteger(exponent.dtype)) return zip(base, cast(exponent, base.dtype), { big: bigPow });
  return cast(zip(cast(base, 'float64'), cast(exponent, 'float64'), { number: pow }), base.dtype);
}

const hostPow: HostForm = needs(2, ([base, exponent]) => [powOnHost(base, exponent)]);
const hostMod: HostForm = needs(2, ([a, b], info) => [
  zip(a, b, info.int('fmod', 0) === 1 ? TRUNCATED_MOD : FLOOR_MOD),
]);

/** A constant exponent has cheaper forms and needs no logarithm for a gradient of its own. */
function runPow(ctx: RunContext): TfTensor[] {
  const exponent = ctx.constant(1);
  const x = ctx.tensor(0);
  if (exponent === null || exponent.data.length !== 1 || exponent.dims.length > x.rank)
    return [power(x, tf.cast(ctx.tensor(1), 'float32'))];
  return [powerOf(x, nth(hostNumbers(exponent), 0))];
}

const common = {
  domain: '',
  since: 7,
  layout: FOLLOWS,
  differentiability: FULL,
  infer: broadcastType(),
  channels: elementwise,
} as const;
const quantized = { kind: 'compute', activations: [0, 1], kernel: null, bias: null } as const;

interface BinarySpec {
  readonly host: (a: HostTensor, b: HostTensor) => HostTensor;
  readonly device: Fold;
  /** The element of a shape, from known elements of the operands. */
  readonly partial?: (a: Dim, b: Dim) => Dim;
}

function binary(type: string, { host, device, partial }: BinarySpec, more: Partial<Operator> = {}): Operator {
  const exact: HostForm = needs(2, ([a, b]) => [host(a, b)]);
  return {
    ...common,
    type,
    host: exact,
    infer: (info) => [{ ...broadcastType()(info)[0], ...(partial && partialBinary(info, partial)) }],
    device: exactIntegers(exact, (ctx) => [device(ctx.tensor(0), ctx.tensor(1))]),
    ...more,
  };
}

/**
 * A vector added along the last axis is a layer's bias: TensorFlow sums its gradient faster than that of a general
 * broadcast.
 */
function add(a: TfTensor, b: TfTensor): TfTensor {
  const isBias = (x: TfTensor, vector: TfTensor): boolean =>
    vector.rank === 1 &&
    x.rank >= 2 &&
    x.rank <= 5 &&
    vector.shape[0] === x.shape.at(-1) &&
    [x, vector].every(({ dtype }) => dtype === 'float32');
  if (isBias(a, b)) return nn.biasAdd(a, b);
  return isBias(b, a) ? nn.biasAdd(b, a) : tf.add(a, b);
}

/**
 * Up to opset 6 the second operand broadcasts only where `broadcast` says so: its axes lie at the first one's `axis`,
 * or at its end.
 */
function placed(info: NodeInfo, rank: number, dims: readonly number[]): number[] {
  const axis =
    info.int('broadcast', 0) === 1 && info.attribute('axis')
      ? resolveAxis(info.int('axis', 0), rank)
      : rank - dims.length;
  return [...dims, ...new Array<number>(Math.max(0, rank - axis - dims.length)).fill(1)];
}

function early(type: string, { host, device }: Pick<BinarySpec, 'host' | 'device'>): Operator {
  const exact: HostForm = needs(2, ([a, b], info) => [host(a, { ...b, dims: placed(info, a.dims.length, b.dims) })]);
  return {
    ...common,
    type,
    since: 1,
    until: 6,
    layout: { kind: 'onnx' },
    channels: legacyElementwise,
    infer: (info) => [typeOf(info)],
    host: exact,
    device: exactIntegers(exact, (ctx) => [
      device(ctx.tensor(0), tf.reshape(ctx.tensor(1), placed(ctx, ctx.dims(0).length, ctx.dims(1)))),
    ]),
  };
}

interface VariadicSpec {
  readonly host: Binary;
  readonly device: Fold;
  readonly mean?: boolean;
}

/** Folds any number of operands; one alone passes through. */
function variadic(type: string, { host, device, mean = false }: VariadicSpec): Operator {
  const exact: HostForm = (inputs) => {
    const sum = inputs.map((_, i) => required(inputs, i)).reduce((a, b) => zip(a, b, host));
    return [mean ? map(sum, { number: (x) => x / inputs.length }) : sum];
  };
  return {
    ...common,
    type,
    since: 6,
    host: exact,
    device: exactIntegers(exact, (ctx) => {
      let result = ctx.tensor(0);
      for (let i = 1; i < ctx.inputCount; i++) result = device(result, ctx.tensor(i));
      if (mean) return [tf.mul(result, 1 / ctx.inputCount)];
      return [ctx.inputCount === 1 ? tf.clone(result) : result];
    }),
  };
}

const known =
  (f: (a: number, b: number) => number) =>
  (a: Dim, b: Dim): Dim =>
    typeof a === 'number' && typeof b === 'number' ? f(a, b) : null;

function addDims(a: Dim, b: Dim): Dim {
  return a === 0 ? b : b === 0 ? a : known((x, y) => x + y)(a, b);
}

function subtractDims(a: Dim, b: Dim): Dim {
  if (a !== null && a === b) return 0;
  return b === 0 ? a : known((x, y) => x - y)(a, b);
}

function multiplyDims(a: Dim, b: Dim): Dim {
  if (a === 0 || b === 0) return 0;
  return a === 1 ? b : b === 1 ? a : known((x, y) => x * y)(a, b);
}

function divideDims(a: Dim, b: Dim): Dim {
  return b === 1 ? a : b === 0 ? null : known((x, y) => Math.trunc(x / y))(a, b);
}

export const arithmeticOperators: readonly Operator[] = [
  binary('Add', { host: (a, b) => zip(a, b, ADD), device: add, partial: addDims }, { quantization: quantized }),
  binary('Sub', { host: (a, b) => zip(a, b, SUBTRACT), device: (a, b) => tf.sub(a, b), partial: subtractDims }),
  binary(
    'Mul',
    { host: (a, b) => zip(a, b, MULTIPLY), device: (a, b) => tf.mul(a, b), partial: multiplyDims },
    { quantization: quantized },
  ),
  binary('Div', {
    host: (a, b) => zip(a, b, isInteger(a.dtype) ? INTEGER_DIVIDE : DIVIDE),
    device: (a, b) => tf.div(a, b),
    partial: divideDims,
  }),
  { ...common, type: 'Pow', host: hostPow, device: exactIntegers(hostPow, runPow) },
  {
    ...common,
    type: 'Mod',
    since: 10,
    host: hostMod,
    device: exactIntegers(hostMod, (ctx) => [modulo(ctx.tensor(0), ctx.tensor(1), ctx.int('fmod', 0) === 1)]),
  },
  early('Add', { host: (a, b) => zip(a, b, ADD), device: add }),
  early('Sub', { host: (a, b) => zip(a, b, SUBTRACT), device: (a, b) => tf.sub(a, b) }),
  early('Mul', { host: (a, b) => zip(a, b, MULTIPLY), device: (a, b) => tf.mul(a, b) }),
  early('Div', {
    host: (a, b) => zip(a, b, isInteger(a.dtype) ? INTEGER_DIVIDE : DIVIDE),
    device: (a, b) => tf.div(a, b),
  }),
  early('Pow', { host: powOnHost, device: power }),
  variadic('Sum', { host: ADD, device: add }),
  variadic('Mean', { host: ADD, device: add, mean: true }),
  variadic('Max', { host: MAXIMUM, device: maximum }),
  variadic('Min', { host: MINIMUM, device: minimum }),
];
