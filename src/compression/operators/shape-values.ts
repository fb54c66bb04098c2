/**
 * Operators that make values out of shapes and attributes: Shape, Size, Constant, ConstantOfShape, Range, EyeLike,
 * Identity.
 */
import { nth } from '../ir/checked-access.ts';
import { constantTensor } from '../ir/constants.ts';
import { GraphError } from '../ir/graph-error.ts';
import { elementCount, hostNumbers, int64Host, isFloat, toHost } from '../ir/tensor-data.ts';
import { DATA_TYPES, type DataType, type Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { FOLLOWS, FULL, hostValue, ONNX_ORDER, PASSES, ZERO, type HostForm, needs } from './define.ts';
import { ofFirst, readsShape } from './channels/elementwise.ts';
import { filling as anySize } from './channels/reshape.ts';
import { generate, scalar } from './host/data.ts';
import { pick } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { openShape, productOf, sameType, shapeOf, typeOf } from './shapes.ts';

/** Reads no element of its input, so nothing moves, whatever the layout. */
const UNREAD = { kind: 'follows', inputs: [] } as const;
const common = { domain: '', since: 1, differentiability: ZERO } as const;

/** `start` and `end` (since 15) of Shape, clamped. */
function span<T>(dims: readonly T[], info: NodeInfo): readonly T[] {
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + dims.length : at, 0), dims.length);
  return dims.slice(
    clamp(info.int('start', 0)),
    Math.max(clamp(info.int('end', dims.length)), clamp(info.int('start', 0))),
  );
}

function inferShape(info: NodeInfo): Inferred[] {
  const shape = shapeOf(info);
  if (!shape) return [{ dtype: 'int64', shape: [null] }];
  const elements = span(shape, info);
  return [{ dtype: 'int64', shape: [elements.length], elements }];
}

/** The value of a Constant node in any of its attribute forms. */
function constant(info: NodeInfo): HostTensor {
  const tensor = constantTensor(info.node);
  if (!tensor) throw new GraphError('the constant has no value that can be read');
  return toHost(tensor);
}

/** ConstantOfShape's one element: float32 zero where the attribute is missing. */
function filling(info: NodeInfo): HostTensor {
  const value = info.attribute('value');
  return value?.kind === 'tensor' ? toHost(value.value) : scalar('float32', 0);
}

function inferConstantOfShape(info: NodeInfo): Inferred[] {
  const value = filling(info);
  const length = shapeOf(info)?.[0];
  const shape = info.partial(0) ?? (typeof length === 'number' ? openShape(length) : null);
  const known = shape?.length === 1 && typeof shape[0] === 'number' && shape[0] >= 0 && shape[0] <= 1024;
  return [
    {
      dtype: value.dtype,
      shape,
      ...(known && { elements: new Array<Dim>(shape[0] as number).fill(nth(hostNumbers(value), 0)) }),
    },
  ];
}

function fill(dims: readonly number[], value: HostTensor): HostTensor {
  if (dims.some((dim) => dim < 0)) throw new GraphError(`[${dims.join(', ')}] is not a shape: sizes must be 0 or more`);
  return pick(value, new Int32Array(elementCount(dims)), dims);
}

/** Number of elements of a range. */
function rangeLength(start: number, limit: number, delta: number): number {
  if (delta === 0) throw new GraphError('the step of a range is zero');
  return Math.max(Math.ceil((limit - start) / delta), 0);
}

/** 16-bit floats are counted in `stash_type` (default: float32) and rounded at the end. */
const range: HostForm = needs(3, ([start, limit, delta], info) => {
  const { dtype } = start;
  const [from, to, by] = [start, limit, delta].map((x) => nth(hostNumbers(x), 0)) as [number, number, number];
  const stash = DATA_TYPES[info.int('stash_type', 1)];
  const isNarrow = dtype === 'float16' || dtype === 'bfloat16';
  if (isNarrow && stash !== 'float32' && stash !== 'float64')
    throw new GraphError(`stash_type ${info.int('stash_type', 1)} is neither float32 (1) nor float64 (11)`);
  const counted =
    isNarrow && stash === 'float32'
      ? (i: number): number => Math.fround(from + Math.fround(i * by))
      : (i: number): number => from + i * by;
  return [generate(dtype, [rangeLength(from, to, by)], counted)];
});

function inferRange(info: NodeInfo): Inferred[] {
  const { dtype } = typeOf(info);
  const [start, limit, delta] = [0, 1, 2].map((i) => info.constant(i));
  if (start && limit && delta) {
    const [from, to, by] = [start, limit, delta].map((x) => nth(hostNumbers(x), 0)) as [number, number, number];
    return [{ dtype, shape: [rangeLength(from, to, by)] }];
  }
  const [from, to, by] = [0, 1, 2].map((i) => info.partial(i)?.[0]);
  return [{ dtype, shape: [from === 0 && by === 1 && typeof to === 'string' ? to : null] }];
}

function eyeType(info: NodeInfo): DataType {
  return DATA_TYPES[info.int('dtype', 0)] ?? 'float32';
}

function eye(dims: readonly number[], info: NodeInfo): HostTensor {
  const own = info.int('dtype', 0) === 0 ? typeOf(info).dtype : eyeType(info);
  const [k, columns] = [info.int('k', 0), nth(dims, 1)];
  return generate(own, dims, (i) => ((i % columns) - Math.floor(i / columns) === k ? 1 : 0));
}

function dimsOf(ctx: RunContext): readonly number[] {
  return ctx.dims(0);
}

export const shapeValueOperators: readonly Operator[] = [
  {
    ...common,
    type: 'Shape',
    layout: UNREAD,
    channels: readsShape,
    infer: inferShape,
    host: needs(1, ([x], info) => [int64Host(span(x.dims, info))]),
    device: (ctx) => [hostValue(int64Host(span(dimsOf(ctx), ctx)))],
  },
  {
    ...common,
    type: 'Size',
    layout: UNREAD,
    channels: readsShape,
    infer: (info) => {
      const shape = shapeOf(info);
      return [{ dtype: 'int64', shape: [], ...(shape && { elements: [productOf(shape)] }) }];
    },
    host: needs(1, ([x]) => [scalar('int64', elementCount(x.dims))]),
    device: (ctx) => [hostValue(scalar('int64', elementCount(dimsOf(ctx))))],
  },
  {
    ...common,
    type: 'Constant',
    layout: ONNX_ORDER,
    host: (_, info) => [constant(info)],
    infer: (info) => {
      const { dtype, dims } = constant(info);
      return [{ dtype, shape: dims }];
    },
  },
  {
    ...common,
    type: 'ConstantOfShape',
    since: 9,
    channels: anySize,
    layout: ONNX_ORDER,
    infer: inferConstantOfShape,
    host: needs(1, ([shape], info) => [fill(hostNumbers(shape), filling(info))]),
  },
  { ...common, type: 'Range', since: 11, layout: ONNX_ORDER, infer: inferRange, host: range },
  {
    ...common,
    type: 'EyeLike',
    since: 9,
    layout: UNREAD,
    infer: (info) => [{ dtype: info.int('dtype', 0) === 0 ? typeOf(info).dtype : eyeType(info), shape: shapeOf(info) }],
    host: needs(1, ([x], info) => [eye(x.dims, info)]),
    device: (ctx) => [hostValue(eye(dimsOf(ctx), ctx))],
  },
  {
    ...common,
    type: 'Identity',
    layout: FOLLOWS,
    channels: ofFirst,
    differentiability: FULL,
    quantization: PASSES,
    infer: (info) => {
      const elements = info.partial(0);
      return [{ ...sameType()(info)[0], ...(elements && { elements }) }];
    },
    host: needs(1, ([x]) => [x]),
    device: (ctx) => [isFloat(ctx.dtype(0)) ? tf.clone(ctx.tensor(0)) : withoutTape(() => tf.clone(ctx.tensor(0)))],
  },
];
