/** Reductions: sums, means, extremes, products and norms over axes. */
import { nth } from '../ir/checked-access.ts';
import { isFloat } from '../ir/tensor-data.ts';
import type { DataType, Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { reducing } from './channels/reduce.ts';
import {
  attributeOrInput,
  FULL,
  given,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  onHost,
  PASSES,
  type HostForm,
  type Ints,
  required,
} from './define.ts';
import { absolute } from './device/elementwise.ts';
import { logSumExp, reduceMax, reduceMin, reduceProduct } from './device/reduce.ts';
import { cast } from './host/cast.ts';
import { integerRange, isInteger } from './host/data.ts';
import { reduce, type Fold } from './host/reduce.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { rootOf } from './root.ts';
import { openShape, productOf, resolveAxes, shapeOf, typeOf } from './shapes.ts';

/** Folds one element after the other. */
function folding(
  start: number,
  step: (sum: number, x: number) => number,
  bigStart: bigint,
  bigStep: (sum: bigint, x: bigint) => bigint,
): Fold {
  return {
    number(data, at, steps) {
      let sum = start;
      for (let i = 0; i < steps.length; i++) sum = step(sum, data[at + steps[i]!]!);
      return sum;
    },
    big(data, at, steps) {
      let sum = bigStart;
      for (let i = 0; i < steps.length; i++) sum = bigStep(sum, data[at + steps[i]!]!);
      return sum;
    },
  };
}

/** A fold whose end result is a function of the sum and the number of elements. */
function then(fold: Fold, finish: (sum: number, count: number) => number): Fold {
  return { number: (data, at, steps) => finish(fold.number(data, at, steps), steps.length) };
}

const SUM = folding(
  0,
  (sum, x) => sum + x,
  0n,
  (sum, x) => sum + x,
);
const PRODUCT = folding(
  1,
  (sum, x) => sum * x,
  1n,
  (sum, x) => sum * x,
);
const L1 = folding(
  0,
  (sum, x) => sum + Math.abs(x),
  0n,
  (sum, x) => sum + (x < 0n ? -x : x),
);
const SQUARES = folding(
  0,
  (sum, x) => sum + x * x,
  0n,
  (sum, x) => sum + x * x,
);

/** Starts from the first element, so that no type needs a least value; NaN wins. */
function extreme(
  pick: (a: number, b: number) => number,
  bigPick: (a: bigint, b: bigint) => bigint,
  empty: number,
): Fold {
  return {
    number(data, at, steps) {
      let best = steps.length > 0 ? data[at + steps[0]!]! : empty;
      for (let i = 1; i < steps.length; i++) best = pick(best, data[at + steps[i]!]!);
      return best;
    },
    big(data, at, steps) {
      let best = steps.length > 0 ? data[at + steps[0]!]! : empty > 0 ? 2n ** 63n - 1n : -(2n ** 63n);
      for (let i = 1; i < steps.length; i++) best = bigPick(best, data[at + steps[i]!]!);
      return best;
    },
  };
}

const MAX = extreme(Math.max, (a, b) => (a > b ? a : b), -Infinity);
const MIN = extreme(Math.min, (a, b) => (a < b ? a : b), Infinity);

const LOG_SUM_EXP: Fold = {
  number(data, at, steps) {
    const top = MAX.number(data, at, steps);
    if (!Number.isFinite(top)) return top;
    let sum = 0;
    for (let i = 0; i < steps.length; i++) sum += Math.exp(data[at + steps[i]!]! - top);
    return top + Math.log(sum);
  },
};

interface Reduction {
  readonly fold: Fold;
  /** Over these axes of the device's layout, kept as ones. */
  readonly device: (x: TfTensor, axes: readonly number[]) => TfTensor;
  /** The opset in which axes became an input. */
  readonly axesAreInput?: number;
  /** Result of no elements in an integer type, or bool; absent: what the fold gives. */
  readonly none?: (dtype: DataType) => number | bigint;
  /** What is known of the result where elements of the vector are known in part. */
  readonly partial?: (elements: readonly Dim[]) => Dim;
}

function reduction(
  type: string,
  { fold, device, axesAreInput = 18, none, partial }: Reduction,
  more: Partial<Operator> = {},
): Operator {
  const host: HostForm = (inputs, info) => {
    const x = required(inputs, 0);
    const result = reduceExactly(
      x,
      axesOf(info, intsOfHost(inputs), x.dims.length, axesAreInput)!,
      info.int('keepdims', 1) === 1,
      fold,
    );
    return [none && x.data.length === 0 && !isFloat(x.dtype) ? filled(result, none(x.dtype)) : result];
  };
  const exact = onHost(host);
  return {
    type,
    domain: '',
    since: 1,
    layout: { kind: 'follows', inputs: [0] },
    differentiability: FULL,
    host,
    channels: reducing((info, rank) => axesOf(info, intsOfConstants(info), rank, axesAreInput)),
    infer: (info) => [infer(info, axesAreInput, partial)],
    device: (ctx) =>
      isInteger(ctx.dtype(0)) || ctx.dtype(0) === 'bool' || ctx.dims(0).includes(0)
        ? exact(ctx)
        : [runReduction(ctx, axesAreInput, device)],
    ...more,
  };
}

function filled({ dtype, dims, data }: HostTensor, value: number | bigint): HostTensor {
  (data as Int32Array).fill(value as number);
  return { dtype, dims, data };
}

/** The least and the greatest value of a type: the result where there is no element to choose from. */
const lowest = (dtype: DataType): number | bigint =>
  dtype === 'bool' ? 0 : dtype === 'uint64' ? 0n : dtype === 'int64' ? -(2n ** 63n) : integerRange(dtype)[0];
const greatest = (dtype: DataType): number | bigint =>
  dtype === 'bool'
    ? 1
    : dtype === 'uint64'
      ? 2n ** 64n - 1n
      : dtype === 'int64'
        ? 2n ** 63n - 1n
        : integerRange(dtype)[1];

/** Sums of 32-bit integers wrap as integers do: through 64 bits. Those of narrow floats are rounded once. */
function reduceExactly(x: HostTensor, axes: readonly number[], keepDims: boolean, fold: Fold): HostTensor {
  if ((x.dtype === 'int32' || x.dtype === 'uint32') && fold.big)
    return cast(reduce(cast(x, 'int64'), axes, keepDims, fold), x.dtype);
  return reduce(x, axes, keepDims, fold);
}

/** Axes to reduce, counted from the start; null where they are an input not known yet. */
function axesOf(info: NodeInfo, ints: Ints, rank: number, axesAreInput: number): number[] | null {
  const axes = attributeOrInput(info, ints, { name: 'axes', input: 1, inputSince: axesAreInput });
  if (axes === null && info.opset >= axesAreInput && given(info, 1)) return null;
  if (axes !== null && axes.length > 0) return resolveAxes(axes, rank);
  return info.int('noop_with_empty_axes', 0) === 1 ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

function infer(info: NodeInfo, axesAreInput: number, partial?: (elements: readonly Dim[]) => Dim): Inferred {
  const { dtype, shape } = typeOf(info);
  return { dtype, shape: shape && reducedShape(info, shape, axesAreInput), ...elementsOf(info, dtype, partial) };
}

function reducedShape(info: NodeInfo, shape: readonly Dim[], axesAreInput: number): readonly Dim[] | null {
  const keep = info.int('keepdims', 1) === 1;
  const axes = axesOf(info, intsOfConstants(info), shape.length, axesAreInput);
  if (!axes) return keep ? openShape(shape.length) : null;
  return keep
    ? shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function elementsOf(
  info: NodeInfo,
  dtype: DataType,
  partial?: (elements: readonly Dim[]) => Dim,
): Pick<Inferred, 'elements'> {
  const elements = dtype === 'int64' || dtype === 'int32' ? info.partial(0) : null;
  if (!partial || !elements || shapeOf(info)?.length !== 1 || info.int('noop_with_empty_axes', 0) === 1) return {};
  return { elements: [partial(elements)] };
}

/** With channels last, the remaining axes may have another order than in ONNX. */
function runReduction(ctx: RunContext, axesAreInput: number, device: Reduction['device']): TfTensor {
  const x = ctx.tensor(0);
  const axes = axesOf(ctx, intsOfRun(ctx), x.rank, axesAreInput)!;
  const reduced = device(
    x,
    axes.map((axis) => ctx.axis(axis, x.rank)),
  );
  if (ctx.int('keepdims', 1) === 1) return reduced;
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis)); // in ONNX order
  const places = rest.map((axis) => ctx.axis(axis, x.rank));
  const sorted = [...places].sort((a, b) => a - b);
  const dropped = tf.reshape(
    reduced,
    sorted.map((axis) => nth(x.shape, axis)),
  );
  return places.every((place, i) => place === sorted[i])
    ? dropped
    : tf.transpose(
        dropped,
        places.map((place) => sorted.indexOf(place)),
      );
}

const sum = (x: TfTensor, axes: readonly number[]): TfTensor => tf.sum(x, [...axes], true);

export const reduceOperators: readonly Operator[] = [
  reduction('ReduceSum', {
    fold: SUM,
    device: sum,
    axesAreInput: 13,
    partial: (elements) => (elements.length === 1 ? nth(elements, 0) : null),
  }),
  reduction(
    'ReduceMean',
    { fold: then(SUM, (total, count) => total / count), device: (x, axes) => tf.mean(x, [...axes], true) },
    { quantization: { kind: 'compute', activations: [0], kernel: null, bias: null } },
  ),
  reduction('ReduceMax', { fold: MAX, device: reduceMax, none: lowest }, { quantization: PASSES }),
  reduction('ReduceMin', { fold: MIN, device: reduceMin, none: greatest }, { quantization: PASSES }),
  reduction('ReduceProd', { fold: PRODUCT, device: reduceProduct, partial: productOf }),
  reduction('ReduceL1', { fold: L1, device: (x, axes) => sum(absolute(x), axes) }),
  reduction('ReduceL2', { fold: then(SQUARES, Math.sqrt), device: (x, axes) => rootOf(sum(tf.square(x), axes), 2) }),
  reduction('ReduceLogSum', { fold: then(SUM, Math.log), device: (x, axes) => tf.log(sum(x, axes)) }),
  reduction('ReduceLogSumExp', { fold: LOG_SUM_EXP, device: logSumExp }),
  reduction('ReduceSumSquare', { fold: SQUARES, device: (x, axes) => sum(tf.square(x), axes) }),
];
