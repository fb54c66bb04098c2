/** QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: per tensor, along one axis, or in blocks. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { elementCount, isFloat } from '../ir/tensor-data.ts';
import type { DataType } from '../ir/types.ts';
import { roundHalfEven } from '../ir/number-formats.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { FOLLOWS, firstInput, given, onHost, ONNX_ORDER, ZERO, needs } from './define.ts';
import { cast } from './host/cast.ts';
import { generate, integerRange, isInteger, numbersOf, rounder } from './host/data.ts';
import { countTo, offsetsAlong } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { resolveAxis, shapeOf, typeOf } from './shapes.ts';
import { DATA_TYPES } from '../ir/types.ts';

/** For each element of `dims` the position of its scale. */
function scaleOffsets(dims: readonly number[], scale: readonly number[], info: NodeInfo): Int32Array | null {
  if (elementCount(scale) === 1 && scale.length < 2) return null;
  const axis = resolveAxis(info.int('axis', 1), dims.length);
  if (scale.length === 1) {
    if (scale[0] !== dims[axis])
      throw new GraphError(`${scale[0]} scales for ${dims[axis]} elements along axis ${axis}`);
    return offsetsAlong(
      dims.map((size, i) => (i === axis ? size : 1)),
      dims.map((size, i) => (i === axis ? countTo(size) : new Array<number>(size).fill(0))),
    );
  }
  const block = info.int('block_size', 0) || Math.ceil(nth(dims, axis) / Math.max(scale[axis] ?? 1, 1));
  const fits =
    scale.length === dims.length &&
    dims.every((size, i) => (i === axis ? Math.ceil(size / block) === scale[i] : size === scale[i]));
  if (!fits)
    throw new GraphError(
      `scales of shape [${scale.join(', ')}] do not fit [${dims.join(', ')}] in blocks of ${block} along axis ${axis}`,
    );
  return offsetsAlong(
    scale,
    dims.map((size, i) => (i === axis ? countTo(size).map((k) => Math.floor(k / block)) : countTo(size))),
  );
}

/** The quantized type: of the zero point, else of the attribute, else uint8. */
function quantizedType(info: NodeInfo): DataType {
  if (given(info, 2)) return typeOf(info, 2).dtype;
  return DATA_TYPES[info.int('output_dtype', 0) || 2] ?? 'uint8';
}

interface QuantizationParts {
  readonly scale: HostTensor;
  readonly zero: HostTensor | null;
  readonly dtype: DataType;
  readonly info: NodeInfo;
}

/** round(x / scale) + zero point, saturated; a float8 or float4 result is rounded by its own rules. */
function quantizeOnHost(x: HostTensor, { scale, zero, dtype, info }: QuantizationParts): HostTensor {
  const offsets = scaleOffsets(x.dims, scale.dims, info);
  // The division's precision: the scale's type, or what `precision` names.
  const precision = info.int('precision', 0) === 0 ? scale.dtype : nth(DATA_TYPES, info.int('precision', 0));
  const divided = rounder(precision) ?? (precision === 'float64' ? null : Math.fround);
  const values = x.data as ArrayLike<number>;
  const scales = numbersOf(scale);
  const ratio = (i: number): number => {
    const q = Number(values[i]) / scales[offsets ? offsets[i]! : 0]!;
    return divided ? divided(q) : q;
  };
  if (isFloat(dtype))
    return cast(generate('float32', x.dims, ratio), dtype, { saturate: info.int('saturate', 1) === 1 });
  const [low, high] = integerRange(dtype);
  const zeros = zero && numbersOf(zero);
  return generate(dtype, x.dims, (i) => {
    const shifted = roundHalfEven(ratio(i)) + (zeros ? zeros[offsets ? offsets[i]! : 0]! : 0);
    return Math.min(Math.max(shifted, low), high);
  });
}

function dequantizeOnHost(x: HostTensor, { scale, zero, dtype, info }: QuantizationParts): HostTensor {
  const offsets = scaleOffsets(x.dims, scale.dims, info);
  const [values, scales, zeros] = [numbersOf(x), numbersOf(scale), zero && numbersOf(zero)];
  return generate(dtype, x.dims, (i) => {
    const at = offsets ? offsets[i]! : 0;
    return (values[i]! - (zeros ? zeros[at]! : 0)) * scales[at]!;
  });
}

/** Scales (or zero points) as they broadcast against the input in the node's layout. */
function alongAxis(ctx: RunContext, input: number, rank: number): TfTensor {
  const operand = tf.cast(ctx.tensor(input), 'float32');
  if (operand.rank === 0 || operand.size === 1) return tf.reshape(operand, []);
  const axis = ctx.axis(ctx.int('axis', 1), rank);
  return tf.reshape(
    operand,
    countTo(rank).map((i) => (i === axis ? operand.size : 1)),
  );
}

const isBlocked = (ctx: RunContext): boolean => ctx.dims(1).length > 1;
/** Types whose every value a 32-bit device integer holds. */
const fitsDevice = (dtype: DataType): boolean =>
  isInteger(dtype) && dtype !== 'int64' && dtype !== 'uint64' && dtype !== 'uint32';

/** Domains without a schema here do not report it earlier. */
function scaleOf(scale: HostTensor | null | undefined): HostTensor {
  if (!scale) throw new GraphError('the scale is missing');
  return scale;
}

const quantizeHost: NonNullable<Operator['host']> = needs(1, ([x, scale, zero], info) => [
  quantizeOnHost(x, { scale: scaleOf(scale), zero: zero ?? null, dtype: quantizedType(info), info }),
]);
const dequantizeHost: NonNullable<Operator['host']> = needs(1, ([x, scale, zero], info) => [
  dequantizeOnHost(x, { scale: scaleOf(scale), zero: zero ?? null, dtype: dequantizedType(info), info }),
]);

function quantizeOnDevice(ctx: RunContext): (TfTensor | Value)[] {
  const dtype = quantizedType(ctx);
  const inFloat32 = ctx.int('precision', 0) <= 1; // the device divides in no other
  if (isBlocked(ctx) || !fitsDevice(dtype) || !inFloat32) return onHost(quantizeHost)(ctx);
  const [low, high] = integerRange(dtype);
  const tensor = withoutTape(() => {
    const x = tf.cast(ctx.tensor(0), 'float32');
    const rounded = tf.round(tf.div(x, alongAxis(ctx, 1, x.rank)));
    const shifted = ctx.has(2) ? tf.add(rounded, alongAxis(ctx, 2, x.rank)) : rounded;
    return tf.cast(tf.clipByValue(shifted, low, high), 'int32');
  });
  return [tensor];
}

/** (x - zero) * scale: linear in the scale, which may be trained. */
function dequantizeOnDevice(ctx: RunContext): (TfTensor | Value)[] {
  if (isBlocked(ctx) || !fitsDevice(ctx.dtype(0))) return onHost(dequantizeHost)(ctx);
  const x = tf.cast(ctx.tensor(0), 'float32');
  const centred = ctx.has(2) ? tf.sub(x, alongAxis(ctx, 2, x.rank)) : x;
  return [tf.mul(centred, alongAxis(ctx, 1, x.rank))];
}

function dequantizedType(info: NodeInfo): DataType {
  return DATA_TYPES[info.int('output_dtype', 0)] === 'undefined'
    ? typeOf(info, 1).dtype
    : (DATA_TYPES[info.int('output_dtype', 0)] ?? 'float32');
}

/** y = round(x / scale) + zero over [min(x, 0), max(x, 0)] in uint8. */
function dynamicQuantize(x: HostTensor): HostTensor[] {
  const values = numbersOf(x);
  let [low, high] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  const scale = Math.fround(Math.fround(high - low) / 255);
  const zero = scale === 0 ? 0 : Math.min(Math.max(roundHalfEven(Math.fround(-low / scale)), 0), 255);
  const quantized = generate('uint8', x.dims, (i) =>
    scale === 0 ? 0 : Math.min(Math.max(roundHalfEven(Math.fround(values[i]! / scale)) + zero, 0), 255),
  );
  return [quantized, generate('float32', [], () => scale), generate('uint8', [], () => zero)];
}

/** uint8 codes of x (as int32) over [min(x, 0), max(x, 0)], their scale and zero point. */
export function dynamicCodes(x: TfTensor): { codes: TfTensor; scale: TfTensor; zero: TfTensor } {
  return withoutTape(() => {
    const zeroScalar = tf.scalar(0);
    const low = tf.minimum(tf.min(x), zeroScalar);
    const range = tf.sub(tf.maximum(tf.max(x), zeroScalar), low);
    const scale = tf.div(range, 255);
    const divisor = tf.where(tf.greater(scale, 0), scale, tf.onesLike(scale));
    const zero = tf.clipByValue(tf.round(tf.div(tf.neg(low), divisor)), 0, 255);
    const quantized = tf.clipByValue(tf.add(tf.round(tf.div(x, divisor)), zero), 0, 255);
    return { codes: tf.cast(quantized, 'int32'), scale, zero: tf.cast(zero, 'int32') };
  });
}

function dynamicQuantizeOnDevice(ctx: RunContext): Value[] {
  const { codes, scale, zero } = dynamicCodes(ctx.tensor(0));
  return [
    { kind: 'device', dtype: 'uint8', tensor: codes },
    { kind: 'device', dtype: 'float32', tensor: scale },
    { kind: 'device', dtype: 'uint8', tensor: zero },
  ];
}

/**
 * com.microsoft's forms take types and zero points that ONNX's forms did not allow at the time, and compute the same.
 */
const domains = [
  { domain: '', since: 10 },
  { domain: 'com.microsoft', since: 1 },
];

export const quantizedOperators: readonly Operator[] = [
  ...domains.map(
    (place): Operator => ({
      ...place,
      type: 'QuantizeLinear',
      layout: { ...FOLLOWS, inputs: [0] },
      differentiability: ZERO,
      infer: (info) => [{ dtype: quantizedType(info), shape: shapeOf(info) }],
      host: quantizeHost,
      device: quantizeOnDevice,
    }),
  ),
  ...domains.map(
    (place): Operator => ({
      ...place,
      type: 'DequantizeLinear',
      layout: { ...FOLLOWS, inputs: [0] },
      differentiability: firstInput(1),
      infer: (info) => [{ dtype: dequantizedType(info), shape: shapeOf(info) }],
      host: dequantizeHost,
      device: dequantizeOnDevice,
    }),
  ),
  {
    type: 'DynamicQuantizeLinear',
    domain: '',
    since: 11,
    layout: ONNX_ORDER,
    differentiability: ZERO,
    infer: (info) => [
      { dtype: 'uint8', shape: shapeOf(info) },
      { dtype: 'float32', shape: [] },
      { dtype: 'uint8', shape: [] },
    ],
    host: needs(1, ([x]) => dynamicQuantize(x)),
    device: dynamicQuantizeOnDevice,
  },
];
