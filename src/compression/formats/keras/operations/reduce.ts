/** Reductions, and functions along one axis. */
import { cast, onnxAxis, plain, plainSignal, range, typeOf, type Shape, type Signal } from '../signal.ts';
import { UnsupportedLayer } from '../layer.ts';
import {
  argument,
  flagOf,
  intsOf,
  numberOf,
  positive,
  tensor,
  type Operation,
  type OperationContext,
} from './operation.ts';

interface Plan {
  readonly x: Signal;
  readonly axes: readonly number[];
  readonly keep: boolean;
}

const planOf = (ctx: OperationContext, x: Signal): Plan => {
  const rank = x.shape.length;
  const given = intsOf(ctx, 1, 'axis');
  return {
    x,
    axes: given ? given.map((axis) => positive(axis, rank)) : range(0, rank),
    keep: flagOf(ctx, 2, 'keepdims'),
  };
};

function reducedShape({ shape }: Signal, axes: readonly number[], keep: boolean): Shape {
  return keep
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));
}

/** Reduces; an image that keeps its axes, or loses the spatial ones alone, needs no transpose. */
function reduce({ b, name }: OperationContext, opType: string, { x, axes, keep }: Plan): Signal {
  const rank = x.shape.length;
  const stays =
    x.channelsFirst && (keep || (axes.length === rank - 2 && !axes.includes(0) && !axes.includes(rank - 1)));
  const value = stays ? x.value : plain(b, x);
  const onnxAxes = stays ? axes.map((axis) => onnxAxis(x, axis)) : axes;
  return {
    value: b.op(opType, [value, b.ints(onnxAxes)], { keepdims: keep ? 1 : 0 }, name),
    shape: reducedShape(x, axes, keep),
    channelsFirst: stays && keep,
    dtype: typeOf(x),
  };
}

const reduction =
  (opType: string): Operation =>
  (ctx) =>
    reduce(ctx, opType, planOf(ctx, floats(ctx)));
const floats = (ctx: OperationContext): Signal => {
  const x = tensor(ctx, 0);
  return typeOf(x) === 'bool' ? cast(ctx.b, x, 'int32') : x;
};

/** Bools as the largest or smallest of 0 and 1. */
const truth =
  (opType: string): Operation =>
  (ctx) => {
    const x = cast(ctx.b, cast(ctx.b, tensor(ctx, 0), 'bool'), 'int32');
    return cast(ctx.b, reduce(ctx, opType, planOf(ctx, x)), 'bool');
  };

/** Mean of (x - mean)^2. */
function variance(ctx: OperationContext): Signal {
  const { b, name } = ctx;
  const plan = planOf(ctx, cast(b, tensor(ctx, 0), 'float32'));
  const mean = reduce({ ...ctx, name: `${name}/mean` }, 'ReduceMean', { ...plan, keep: true });
  const [x, m] = [plain(b, plan.x), plain(b, mean)];
  const centred = b.op('Sub', [x, m], {}, `${name}/centred`);
  return reduce(ctx, 'ReduceMean', {
    ...plan,
    x: plainSignal(b.op('Mul', [centred, centred], {}, `${name}/square`), plan.x.shape),
  });
}

const arg =
  (opType: 'ArgMax' | 'ArgMin'): Operation =>
  (ctx) => {
    const x = tensor(ctx, 0);
    const axis = argument(ctx, 1, 'axis');
    if (typeof axis !== 'number') throw new UnsupportedLayer('argmax or argmin over all axes is not supported');
    const keep = flagOf(ctx, 2, 'keepdims');
    const position = positive(axis, x.shape.length);
    const value = ctx.b.op(opType, [plain(ctx.b, x)], { axis: position, keepdims: keep ? 1 : 0 }, `${ctx.name}/place`);
    return cast(ctx.b, plainSignal(value, reducedShape(x, [position], keep), 'int64'), 'int32');
  };

const cumsum: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axis = argument(ctx, 1, 'axis');
  if (typeof axis !== 'number') throw new UnsupportedLayer('a running sum over all axes is not supported');
  return plainSignal(
    ctx.b.op('CumSum', [plain(ctx.b, x), ctx.b.scalar(positive(axis, x.shape.length), 'int64')], {}, ctx.name),
    x.shape,
    typeOf(x),
  );
};

/** The Euclidean norm, or the sum or largest of absolute values. */
const norm: Operation = (ctx) => {
  const ord = argument(ctx, 1, 'ord') ?? 2;
  const opType = ({ 2: 'ReduceL2', 1: 'ReduceL1', euclidean: 'ReduceL2' } as Record<string, string>)[String(ord)];
  const plan = planOf({ ...ctx, args: [ctx.args[0] ?? null] }, cast(ctx.b, tensor(ctx, 0), 'float32'));
  if (!opType || (plan.axes.length > 1 && ord !== 2))
    throw new UnsupportedLayer(`a norm of order ${String(ord)} is not supported`);
  return reduce(ctx, opType, plan);
};

/** x / max(|x|, epsilon) */
const normalize: Operation = (ctx) => {
  const { b, name } = ctx;
  if (numberOf(ctx, 2, 'order', 2) !== 2)
    throw new UnsupportedLayer('normalization of an order other than 2 is not supported');
  const x = cast(b, tensor(ctx, 0), 'float32');
  const axis = intsOf(ctx, 1, 'axis') ?? [-1];
  const length = reduce({ ...ctx, name: `${name}/length` }, 'ReduceL2', {
    x,
    axes: axis.map((one) => positive(one, x.shape.length)),
    keep: true,
  });
  const floor = b.op('Max', [plain(b, length), b.scalar(numberOf(ctx, 3, 'epsilon', 1e-7))], {}, `${name}/floor`);
  return plainSignal(b.op('Div', [plain(b, x), floor], {}, name), x.shape);
};

const average: Operation = (ctx) => {
  if (argument(ctx, 2, 'weights') != null) throw new UnsupportedLayer('an average with weights is not supported');
  return reduce(ctx, 'ReduceMean', { ...planOf(ctx, cast(ctx.b, tensor(ctx, 0), 'float32')), keep: false });
};

const topK: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const k = numberOf(ctx, 1, 'k', 1);
  const [values, places] = b.ops('TopK', [plain(b, x), b.ints([k])], 2, { axis: -1 }, name);
  const shape = [...x.shape.slice(0, -1), k];
  return [plainSignal(values, shape, typeOf(x)), cast(b, plainSignal(places, shape, 'int64'), 'int32')];
};

const mean: Operation = (ctx) => reduce(ctx, 'ReduceMean', planOf(ctx, cast(ctx.b, tensor(ctx, 0), 'float32')));

export const REDUCE_OPERATIONS: Readonly<Record<string, Operation>> = {
  Mean: mean,
  Sum: reduction('ReduceSum'),
  Max: reduction('ReduceMax'),
  Amax: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Amin: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  Logsumexp: reduction('ReduceLogSumExp'),
  Any: truth('ReduceMax'),
  All: truth('ReduceMin'),
  Var: variance,
  Std: (ctx) => {
    const v = variance({ ...ctx, name: `${ctx.name}/variance` });
    return { ...v, value: ctx.b.op('Sqrt', [v.value], {}, ctx.name) };
  },
  Argmax: arg('ArgMax'),
  Argmin: arg('ArgMin'),
  Cumsum: cumsum,
  Norm: norm,
  Normalize: normalize,
  Average: average,
  TopK: topK,
};
