/** Concat and Split. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import { concatenation, splitting } from './channels/join-split.ts';
import {
  attributeOrInput,
  FOLLOWS,
  FULL,
  firstInput,
  given,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  PASSES,
  type Ints,
  required,
} from './define.ts';
import { concat, slice } from './host/movement.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { moved } from './reshape.ts';
import { resolveAxis, typeOf, unifyDim } from './shapes.ts';
import { onNumbers } from './device/rows.ts';
import { withoutTape } from '../tensor/without-tape.ts';

function inferConcat(info: NodeInfo): Inferred[] {
  const { dtype } = typeOf(info);
  const shape = joinedShape(
    info.types.map((type) => type?.shape ?? null),
    info.int('axis', 0),
  );
  const parts = info.types.map((_, i) => info.partial(i));
  const elements = shape?.length === 1 && parts.every((part) => part !== null) ? parts.flat() : null;
  return [{ dtype, shape, ...(elements && { elements }) }];
}

/** Shapes joined along an axis; null where none is known. */
export function joinedShape(shapes: readonly (readonly Dim[] | null)[], onnxAxis: number): Dim[] | null {
  const known = shapes.find((shape) => shape !== null);
  if (!known) return null;
  const axis = resolveAxis(onnxAxis, known.length);
  return known.map((_, i) => (i === axis ? total(shapes, axis) : agreed(shapes, i, known.length)));
}

function total(shapes: readonly (readonly Dim[] | null)[], axis: number): Dim {
  const sizes = shapes.map((shape) => shape?.[axis] ?? null).filter((size) => size !== 0);
  if (sizes.length === 1) return nth(sizes, 0);
  return sizes.every((size) => typeof size === 'number') ? sizes.reduce((a, b) => a + b, 0) : null;
}

function agreed(shapes: readonly (readonly Dim[] | null)[], axis: number, rank: number): Dim {
  return shapes.reduce<Dim>((dim, shape) => {
    if (!shape) return dim;
    if (shape.length !== rank) throw new GraphError(`tensors of rank ${rank} and ${shape.length} cannot be joined`);
    return unifyDim(dim, nth(shape, axis), `sizes along axis ${axis}`);
  }, null);
}

function runConcat(ctx: RunContext) {
  const tensors = Array.from({ length: ctx.inputCount }, (_, i) => ctx.tensor(i));
  const axis = ctx.axis(ctx.int('axis', 0), nth(tensors, 0).rank);
  if (tensors.length === 1) return [tf.clone(nth(tensors, 0))];
  if (nth(tensors, 0).dtype === 'float32') return [tf.concat(tensors, axis)];
  return [
    withoutTape(() =>
      onNumbers(nth(tensors, 0), () =>
        tf.concat(
          tensors.map((x) => (x.dtype === 'bool' ? tf.cast(x, 'int32') : x)),
          axis,
        ),
      ),
    ),
  ];
}

const MAX_PARTS = 65_536;

/** Sizes of the parts: given, or equal ones (the last of which may be smaller since opset 18). */
function partSizes(size: number, info: NodeInfo, ints: Ints): readonly number[] {
  const given = attributeOrInput(info, ints, { name: 'split', input: 1, inputSince: 13 });
  const count = info.int('num_outputs', info.node.outputs.length);
  if (!given && (count < 1 || count > MAX_PARTS))
    throw new GraphError(`num_outputs is ${count}; it must be 1 to ${MAX_PARTS}`);
  const even = Math.ceil(size / count);
  const sizes = given ?? Array.from({ length: count }, (_, i) => Math.max(Math.min(even, size - i * even), 0));
  if (sizes.reduce((a, b) => a + b, 0) !== size)
    throw new GraphError(`parts of ${sizes.join(', ')} do not make up ${size}`);
  return sizes;
}

/** Where each part starts, and its size. */
function parts(size: number, info: NodeInfo, ints: Ints): { readonly start: number; readonly size: number }[] {
  let start = 0;
  return partSizes(size, info, ints).map((part) => ({ start: (start += part) - part, size: part }));
}

function inferSplit(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (!shape) return info.node.outputs.map(() => ({ dtype, shape: null }));
  const axis = resolveAxis(info.int('axis', 0), shape.length);
  const size = nth(shape, axis);
  const ints = intsOfConstants(info);
  const unknown = info.opset >= 13 && given(info, 1) && !info.constant(1);
  const listed = unknown ? null : attributeOrInput(info, ints, { name: 'split', input: 1, inputSince: 13 });
  const sizes: readonly Dim[] =
    listed ?? (typeof size === 'number' && !unknown ? partSizes(size, info, ints) : info.node.outputs.map(() => null));
  if (listed && typeof size === 'number') partSizes(size, info, ints);
  const elements = info.partial(0);
  return info.node.outputs.map((_, i) => {
    const part = { dtype, shape: shape.map((dim, a) => (a === axis ? (sizes[i] ?? null) : dim)) };
    const start = sizes
      .slice(0, i)
      .reduce<number | null>((sum, s) => (sum === null || typeof s !== 'number' ? null : sum + s), 0);
    const length = sizes[i];
    return elements && start !== null && typeof length === 'number'
      ? { ...part, elements: elements.slice(start, start + length) }
      : part;
  });
}

function runSplit(ctx: RunContext) {
  const x = ctx.tensor(0);
  const axis = ctx.axis(ctx.int('axis', 0), x.rank);
  const sizes = partSizes(nth(x.shape, axis), ctx, intsOfRun(ctx));
  if (x.dtype === 'float32' && sizes.every((size) => size > 0)) return tf.split(x, [...sizes], axis);
  return parts(nth(x.shape, axis), ctx, intsOfRun(ctx)).map(({ start, size }) =>
    moved(x, (v) =>
      tf.slice(
        v,
        v.shape.map((_, i) => (i === axis ? start : 0)),
        v.shape.map((dim, i) => (i === axis ? size : dim)),
      ),
    ),
  );
}

export const joinSplitOperators: readonly Operator[] = [
  {
    type: 'Concat',
    domain: '',
    since: 4,
    layout: FOLLOWS,
    differentiability: FULL,
    infer: inferConcat,
    device: runConcat,
    channels: concatenation,
    host: (inputs, info) => [
      concat(
        inputs.map((_, i) => required(inputs, i)),
        resolveAxis(info.int('axis', 0), required(inputs, 0).dims.length),
      ),
    ],
    quantization: PASSES,
  },
  {
    type: 'Split',
    domain: '',
    since: 2,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: firstInput(0),
    infer: inferSplit,
    device: runSplit,
    channels: splitting,
    host: (inputs, info) => {
      const x = required(inputs, 0);
      const axis = resolveAxis(info.int('axis', 0), x.dims.length);
      return parts(nth(x.dims, axis), info, intsOfHost(inputs)).map(({ start, size }) =>
        slice(
          x,
          x.dims.map((_, i) => (i === axis ? start : 0)),
          x.dims.map(() => 1),
          x.dims.map((dim, i) => (i === axis ? size : dim)),
        ),
      );
    },
    quantization: PASSES,
  },
];
