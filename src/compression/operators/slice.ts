/** Slice, in all its forms: attributes or inputs, any axes, any steps. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import { slicing, type TakenRange } from './channels/join-split.ts';
import {
  attributeOrInput,
  FOLLOWS,
  firstInput,
  given,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  PASSES,
  type Ints,
  required,
} from './define.ts';
import { slicedBy } from './device/slice.ts';
import { slice } from './host/movement.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { moved } from './reshape.ts';
import { openShape, resolveAxes, typeOf } from './shapes.ts';

/** Along each axis the first element taken, the step, and how many. */
export interface Ranges {
  readonly starts: readonly number[];
  readonly steps: readonly number[];
  readonly sizes: readonly number[];
}

interface Spec {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly axes: readonly number[];
  readonly steps: readonly number[];
}

/** The node's bounds and steps; null where one of these inputs is not known. */
function specOf(info: NodeInfo, ints: Ints, rank: number): Spec | null {
  const starts = attributeOrInput(info, ints, { name: 'starts', input: 1, inputSince: 10 });
  const ends = attributeOrInput(info, ints, { name: 'ends', input: 2, inputSince: 10 });
  if (!starts || !ends) return null;
  const axes =
    attributeOrInput(info, ints, { name: 'axes', input: 3, inputSince: 10 }) ??
    (given(info, 3) ? null : starts.map((_, i) => i));
  const steps = ints(4) ?? (given(info, 4) ? null : starts.map(() => 1));
  if (!axes || !steps) return null;
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
    throw new GraphError('starts, ends, axes and steps differ in length');
  if (steps.includes(0)) throw new GraphError('a step of a slice is zero');
  return { starts, ends, axes: resolveAxes(axes, rank), steps };
}

/** Python's slicing of one axis: negative positions count from the end, all are clamped. */
function clampRange(size: number, start: number, end: number, step: number): { start: number; count: number } {
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const first = Math.min(Math.max(from, low), high);
  const last = Math.min(Math.max(to, low), high);
  return { start: first, count: Math.max(Math.ceil((last - first) / step), 0) };
}

function rangesOf(dims: readonly number[], info: NodeInfo, ints: Ints): Ranges {
  const spec = specOf(info, ints, dims.length);
  if (!spec) throw new GraphError('the bounds of the slice are not known');
  const [starts, steps, sizes] = [dims.map(() => 0), dims.map(() => 1), [...dims]];
  spec.axes.forEach((axis, i) => {
    const { start, count } = clampRange(nth(dims, axis), nth(spec.starts, i), nth(spec.ends, i), nth(spec.steps, i));
    [starts[axis], steps[axis], sizes[axis]] = [count > 0 ? start : 0, nth(spec.steps, i), count];
  });
  return { starts, steps, sizes };
}

/** What the slice takes of one axis of a known size; null where that is not known before running. */
function rangeAlong(info: NodeInfo, rank: number, axis: number, size: number): TakenRange | null {
  const spec = specOf(info, intsOfConstants(info), rank);
  if (!spec) return null;
  const i = spec.axes.indexOf(axis);
  return i < 0
    ? { start: 0, step: 1, count: size }
    : { ...clampRange(size, nth(spec.starts, i), nth(spec.ends, i), nth(spec.steps, i)), step: nth(spec.steps, i) };
}

function infer(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (!shape) return [{ dtype, shape: null }];
  const spec = specOf(info, intsOfConstants(info), shape.length);
  if (!spec) return [{ dtype, shape: unknownEnds(info, shape) }];
  const result = [...shape];
  spec.axes.forEach((axis, i) => {
    result[axis] = sizeAfter(nth(shape, axis), nth(spec.starts, i), nth(spec.ends, i), nth(spec.steps, i));
  });
  const elements = info.partial(0);
  if (!elements || shape.length !== 1) return [{ dtype, shape: result }];
  const { starts, steps, sizes } = rangesOf([elements.length], info, intsOfConstants(info));
  return [
    {
      dtype,
      shape: sizes,
      elements: Array.from({ length: nth(sizes, 0) }, (_, i) => elements[nth(starts, 0) + i * nth(steps, 0)]!),
    },
  ];
}

const FAR = 2 ** 31 - 1;

function sizeAfter(dim: Dim, start: number, end: number, step: number): Dim {
  if (typeof dim === 'number') return clampRange(dim, start, end, step).count;
  const whole = (step === 1 && start === 0 && end >= FAR) || (step === -1 && start === -1 && end <= -FAR);
  return whole ? dim : start < 0 && end >= FAR && step === 1 ? null : sameSide(start, end, step);
}

/** The size of a slice of an open axis is known only where the slice is empty for every size. */
function sameSide(start: number, end: number, step: number): Dim {
  return start >= 0 === end >= 0 && (end - start) / step <= 0 ? 0 : null;
}

/** Computed bounds: a slice from 0 to a symbol has that many elements, if the axis has as many. */
function unknownEnds(info: NodeInfo, shape: readonly Dim[]): readonly Dim[] {
  const axes = given(info, 3) ? intsOfConstants(info)(3) : (info.partial(1)?.map((_, i) => i) ?? null);
  if (!axes) return openShape(shape.length);
  const touched = resolveAxes(axes, shape.length);
  const [starts, ends] = [info.partial(1), info.partial(2)];
  return shape.map((dim, axis) => {
    const i = touched.indexOf(axis);
    if (i < 0) return dim;
    return !given(info, 4) && starts?.[i] === 0 && dim !== null && ends?.[i] === dim ? dim : null;
  });
}

function run(ctx: RunContext) {
  const x = ctx.tensor(0);
  const ranges = rangesOf(ctx.dims(0), ctx, intsOfRun(ctx));
  const place = (list: readonly number[]): number[] => {
    const out = [...list];
    list.forEach((value, axis) => {
      out[ctx.axis(axis, x.rank)] = value;
    });
    return out;
  };
  return [moved(x, (v) => slicedBy(v, place(ranges.starts), place(ranges.steps), place(ranges.sizes)))];
}

export const sliceOperators: readonly Operator[] = [
  {
    type: 'Slice',
    domain: '',
    since: 1,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: firstInput(0),
    quantization: PASSES,
    infer,
    device: run,
    channels: slicing(rangeAlong, 10),
    host: (inputs, info) => {
      const { starts, steps, sizes } = rangesOf(required(inputs, 0).dims, info, intsOfHost(inputs));
      return [slice(required(inputs, 0), starts, steps, sizes)];
    },
  },
];
