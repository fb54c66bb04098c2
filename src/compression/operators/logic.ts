/** Comparison, logic, bits, and the choice between two values. */
import { GraphError } from '../ir/graph-error.ts';
import { allocate, BITS } from '../ir/tensor-data.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { elementwise } from './channels/elementwise.ts';
import { discrete, FOLLOWS, firstInput, ONNX_ORDER, ZERO, type HostForm, needs } from './define.ts';
import { choose } from './device/elementwise.ts';
import { rounder } from './host/data.ts';
import { compare, map, offsetsInto, zip, type Binary, type Scalar } from './host/elementwise.ts';
import { broadcastDims } from './host/offsets.ts';
import { pick } from './host/movement.ts';
import type { Dim } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { broadcastShapes, broadcastType, sameType, shapeOf, typeOf } from './shapes.ts';
import { withoutTape } from '../tensor/without-tape.ts';

const common = { domain: '', since: 7, layout: FOLLOWS, differentiability: ZERO, channels: elementwise } as const;

type Pair = (a: TfTensor, b: TfTensor) => TfTensor;

/** A relation of two operands of one type: bool. */
function relation(type: string, holds: (a: Scalar, b: Scalar) => boolean, device: Pair, since = 7): Operator {
  return {
    ...common,
    type,
    since,
    infer: broadcastType('bool'),
    host: needs(2, ([a, b]) => [compare(a, b, holds)]),
    device: discrete((ctx) => [device(comparable(ctx, 0), comparable(ctx, 1))]),
  };
}

/** tfjs compares numbers only. */
function comparable(ctx: RunContext, input: number): TfTensor {
  const x = ctx.tensor(input);
  return x.dtype === 'bool' ? tf.cast(x, 'int32') : x;
}

function connective(type: string, host: (a: number, b: number) => number, device: Pair): Operator {
  return {
    ...common,
    type,
    infer: broadcastType('bool'),
    host: needs(2, ([a, b]) => [zip(a, b, { number: host })]),
    device: discrete((ctx) => [device(tf.cast(ctx.tensor(0), 'bool'), tf.cast(ctx.tensor(1), 'bool'))]),
  };
}

/** Bitwise operators run on the host, wherever the integers lie: the device has no kernels for them. */
function bitwise(type: string, f: Binary): Operator {
  return {
    ...common,
    type,
    since: 18,
    layout: ONNX_ORDER,
    infer: broadcastType(),
    host: needs(2, ([a, b]) => [zip(a, b, f)]),
  };
}

/**
 * Shifts integers; signed ones (since opset 28) fill with copies of their sign. A shift by the whole width or more, or
 * by a negative count, leaves only the fill.
 */
const shift: HostForm = needs(2, ([x, by], info) => {
  const left = info.string('direction', '') === 'LEFT';
  const bits = BITS[x.dtype];
  const rows = shiftRows(x, by, left, bits);
  if (rows) return [rows];
  return [
    zip(x, by, {
      number: (a, n) => shifted(a, n, left, bits),
      big: (a, n) => (n < 0n || n >= 64n ? (left || a >= 0n ? 0n : -1n) : left ? a << n : a >> n),
    }),
  ];
});

/** The array that holds the result truncates it to its type. */
function shifted(a: number, n: number, left: boolean, bits: number): number {
  if (n < 0 || n >= bits) return left || a >= 0 ? 0 : -1;
  if (left) return a << n;
  return a < 0 ? a >> n : a >>> n;
}

/**
 * Shifts every number by each of a few counts, as models unpack codes: ten times as fast as general broadcasting. null:
 * the shapes are others.
 */
function shiftRows(x: HostTensor, by: HostTensor, left: boolean, bits: number): HostTensor | null {
  const dims = broadcastDims(x.dims, by.dims);
  const [m, k] = [x.data.length, by.data.length];
  if (bits > 32 || by.dims.length > 1 || (k > 1 && x.dims.at(-1) !== 1) || dims.reduce((a, b) => a * b, 1) !== m * k)
    return null;
  const [numbers, shifts, out] = [
    x.data as Uint32Array,
    by.data as Uint32Array,
    allocate(x.dtype, m * k) as Uint32Array,
  ];
  for (let j = 0; j < k; j++) {
    const n = shifts[j]!;
    for (let i = 0; i < m; i++) out[i * k + j] = shifted(numbers[i]!, n, left, bits);
  }
  return { dtype: x.dtype, dims, data: out };
}

function invert(x: HostTensor): HostTensor {
  const round = rounder(x.dtype);
  return map(x, { number: round ? (v) => round(~v) : (v) => ~v, big: (v) => ~v });
}

/** Picks each element from one of two operands by a mask. Takes any type, strings too. */
const whereOnHost: HostForm = needs(3, ([mask, a, b]) => {
  const dims = broadcastDims(mask.dims, a.dims, b.dims);
  const [m, p, q] = [mask, a, b].map((x) => offsetsInto(x.dims, dims));
  const both = { dtype: a.dtype, dims: [], data: join(a, b) };
  const count = dims.reduce((n, size) => n * size, 1);
  const offsets = Int32Array.from({ length: count }, (_, i) =>
    mask.data[m ? m[i]! : i] ? (p ? p[i]! : i) : a.data.length + (q ? q[i]! : i),
  );
  return [pick(both, offsets, dims)];
});

function join(a: HostTensor, b: HostTensor): HostTensor['data'] {
  if (a.dtype !== b.dtype) throw new GraphError(`values of type ${a.dtype} and ${b.dtype} cannot be mixed`);
  if (a.dtype === 'string') return [...(a.data as readonly string[]), ...(b.data as readonly string[])];
  const data = new (a.data.constructor as Float32ArrayConstructor)(a.data.length + b.data.length);
  data.set(a.data as Float32Array);
  data.set(b.data as Float32Array, a.data.length);
  return data;
}

function runWhere(ctx: RunContext): TfTensor[] {
  const mask = ctx.tensor(0);
  const [a, b] = [ctx.tensor(1), ctx.tensor(2)];
  const pick = (): TfTensor => choose(tf.cast(mask, 'bool'), a, b);
  return [a.dtype === 'float32' ? pick() : withoutTape(pick)];
}

function inferWhere(info: NodeInfo): Inferred[] {
  const type = {
    dtype: typeOf(info, 1).dtype,
    shape: broadcastShapes(shapeOf(info, 0), shapeOf(info, 1), shapeOf(info, 2)),
  };
  const mask = info.constant(0)?.data as ArrayLike<number> | undefined;
  const [a, b] = [info.partial(1), info.partial(2)];
  if (!mask || !a || !b || !type.shape || type.shape.length > 1) return [type];
  const length = Math.max(mask.length, a.length, b.length);
  const at = <T>(list: ArrayLike<T>, i: number): T => list[list.length === 1 ? 0 : i]!;
  return [{ ...type, elements: Array.from({ length }, (_, i): Dim => (at(mask, i) ? at(a, i) : at(b, i))) }];
}

export const logicOperators: readonly Operator[] = [
  relation(
    'Equal',
    (a, b) => a === b,
    (a, b) => tf.equal(a, b),
  ),
  relation(
    'Less',
    (a, b) => a < b,
    (a, b) => tf.less(a, b),
  ),
  relation(
    'Greater',
    (a, b) => a > b,
    (a, b) => tf.greater(a, b),
  ),
  relation(
    'LessOrEqual',
    (a, b) => a <= b,
    (a, b) => tf.lessEqual(a, b),
    12,
  ),
  relation(
    'GreaterOrEqual',
    (a, b) => a >= b,
    (a, b) => tf.greaterEqual(a, b),
    12,
  ),
  connective(
    'And',
    (a, b) => a & b,
    (a, b) => tf.logicalAnd(a, b),
  ),
  connective(
    'Or',
    (a, b) => a | b,
    (a, b) => tf.logicalOr(a, b),
  ),
  connective(
    'Xor',
    (a, b) => a ^ b,
    (a, b) => tf.logicalXor(a, b),
  ),
  bitwise('BitwiseAnd', { number: (a, b) => a & b, big: (a, b) => a & b }),
  bitwise('BitwiseOr', { number: (a, b) => a | b, big: (a, b) => a | b }),
  bitwise('BitwiseXor', { number: (a, b) => a ^ b, big: (a, b) => a ^ b }),
  {
    ...common,
    type: 'BitwiseNot',
    since: 18,
    layout: ONNX_ORDER,
    infer: sameType(),
    host: needs(1, ([x]) => [invert(x)]),
  },
  { ...common, type: 'BitShift', since: 11, layout: ONNX_ORDER, infer: broadcastType(), host: shift },
  {
    ...common,
    type: 'Where',
    since: 9,
    differentiability: firstInput(1, 2),
    infer: inferWhere,
    host: whereOnHost,
    device: runWhere,
  },
];
