/** Arithmetic, comparison, logic and functions of single elements. */
import type { DataType } from '../../../ir/types.ts';
import type { GraphBuilder } from '../../graph-builder.ts';
import { cast, like, typeOf, type Signal } from '../signal.ts';
import {
  aligned,
  argument,
  broadcast,
  numberOf,
  promoted,
  tensor,
  type Operation,
  type OperationContext,
} from './operation.ts';

type Build = (b: GraphBuilder, x: string, name: string) => string;

const op =
  (opType: string): Build =>
  (b, x, name) =>
    b.op(opType, [x], {}, name);

/** A function of floats; integers become floats first. */
const unary =
  (build: Build): Operation =>
  (ctx) => {
    const x = cast(ctx.b, tensor(ctx, 0), 'float32');
    return like(x, build(ctx.b, x.value, ctx.name));
  };

/** One that keeps the type. */
const keeping =
  (opType: string): Operation =>
  (ctx) => {
    const x = tensor(ctx, 0);
    return like(x, ctx.b.op(opType, [x.value], {}, ctx.name));
  };

interface BinaryOptions {
  readonly atLeast?: DataType;
  readonly result?: DataType;
}

function apply(ctx: OperationContext, opType: string, { atLeast, result }: BinaryOptions = {}): Signal {
  const signals = promoted(ctx.b, [tensor(ctx, 0, 'x1'), tensor(ctx, 1, 'x2')], atLeast);
  const { values, channelsFirst } = aligned(ctx.b, signals);
  return {
    value: ctx.b.op(opType, values, {}, ctx.name),
    shape: broadcast(signals.map(({ shape }) => shape)),
    channelsFirst,
    dtype: result ?? typeOf(signals[0]),
  };
}

const binary =
  (opType: string, options?: BinaryOptions): Operation =>
  (ctx) =>
    apply(ctx, opType, options);
const compare = (opType: string): Operation => binary(opType, { result: 'bool' });

const not = ({ b, name }: OperationContext, signal: Signal): Signal =>
  like(signal, b.op('Not', [signal.value], {}, `${name}/not`));

/** Bits and truth values: every number but 0 is true. */
const logic =
  (opType: string): Operation =>
  (ctx) => {
    const truths = [tensor(ctx, 0, 'x1'), tensor(ctx, 1, 'x2')].map((signal) => cast(ctx.b, signal, 'bool'));
    const { values, channelsFirst } = aligned(ctx.b, truths);
    return {
      value: ctx.b.op(opType, values, {}, ctx.name),
      shape: broadcast(truths.map(({ shape }) => shape)),
      channelsFirst,
      dtype: 'bool',
    };
  };

const where: Operation = (ctx) => {
  const condition = cast(ctx.b, tensor(ctx, 0, 'condition'), 'bool');
  const [x, y] = promoted(ctx.b, [tensor(ctx, 1, 'x1'), tensor(ctx, 2, 'x2')]);
  const { values, channelsFirst } = aligned(ctx.b, [condition, x, y]);
  return {
    value: ctx.b.op('Where', values, {}, ctx.name),
    shape: broadcast([condition.shape, x.shape, y.shape]),
    channelsFirst,
    dtype: typeOf(x),
  };
};

const clip: Operation = (ctx) => {
  const x = cast(ctx.b, tensor(ctx, 0), 'float32');
  return like(
    x,
    ctx.b.op(
      'Clip',
      [x.value, ctx.b.scalar(numberOf(ctx, 1, 'x_min', -Infinity)), ctx.b.scalar(numberOf(ctx, 2, 'x_max', Infinity))],
      {},
      ctx.name,
    ),
  );
};

const FLOATS = new Set(['float16', 'float32', 'float64', 'bfloat16']);

const castTo: Operation = (ctx) => {
  const dtype = String(argument(ctx, 1, 'dtype'));
  return cast(ctx.b, tensor(ctx, 0), FLOATS.has(dtype) ? 'float32' : (dtype as DataType));
};

const fillLike =
  (value: number): Operation =>
  (ctx) => {
    const x = tensor(ctx, 0);
    const given = argument(ctx, 1, 'dtype');
    const dtype = typeof given === 'string' ? (FLOATS.has(given) ? 'float32' : (given as DataType)) : typeOf(x);
    const shape = ctx.b.op('Shape', [x.value], {}, `${ctx.name}/shape`);
    return { ...x, value: ctx.b.op('Expand', [ctx.b.scalar(value, dtype), shape], {}, ctx.name), dtype };
  };

/** Floor of the quotient. */
const floorDivide: Operation = (ctx) => {
  const quotient = apply(ctx, 'Div', { atLeast: 'float32' });
  return like(quotient, ctx.b.op('Floor', [quotient.value], {}, `${ctx.name}/floor`));
};

/** The remainder with the sign of the divisor: x - floor(x / y) y. */
const mod: Operation = (ctx) => {
  const signals = promoted(ctx.b, [tensor(ctx, 0, 'x1'), tensor(ctx, 1, 'x2')], 'float32');
  const {
    values: [x, y],
    channelsFirst,
  } = aligned(ctx.b, signals);
  const whole = ctx.b.op('Floor', [ctx.b.op('Div', [x, y], {}, `${ctx.name}/quotient`)], {}, `${ctx.name}/floor`);
  const value = ctx.b.op('Sub', [x, ctx.b.op('Mul', [whole, y], {}, `${ctx.name}/whole`)], {}, ctx.name);
  return { value, shape: broadcast(signals.map(({ shape }) => shape)), channelsFirst, dtype: 'float32' };
};

const scaledLog =
  (base: number): Build =>
  (b, x, name) =>
    b.op('Mul', [b.op('Log', [x], {}, `${name}/log`), b.scalar(1 / Math.log(base))], {}, name);

export const ELEMENTWISE_OPERATIONS: Readonly<Record<string, Operation>> = {
  Add: binary('Add'),
  Subtract: binary('Sub'),
  Multiply: binary('Mul'),
  Divide: binary('Div', { atLeast: 'float32' }),
  TrueDivide: binary('Div', { atLeast: 'float32' }),
  FloorDivide: floorDivide,
  Mod: mod,
  Power: binary('Pow'),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  DivideNoNan: (ctx) => {
    const quotient = apply(ctx, 'Div', { atLeast: 'float32' });
    const zero = ctx.b.op(
      'Equal',
      [cast(ctx.b, tensor(ctx, 1, 'x2'), 'float32').value, ctx.b.scalar(0)],
      {},
      `${ctx.name}/zero`,
    );
    return like(quotient, ctx.b.op('Where', [zero, ctx.b.scalar(0), quotient.value], {}, `${ctx.name}/safe`));
  },
  Equal: compare('Equal'),
  Greater: compare('Greater'),
  GreaterEqual: compare('GreaterOrEqual'),
  Less: compare('Less'),
  LessEqual: compare('LessOrEqual'),
  NotEqual: (ctx) => not(ctx, apply(ctx, 'Equal', { result: 'bool' })),
  LogicalAnd: logic('And'),
  LogicalOr: logic('Or'),
  LogicalXor: logic('Xor'),
  LogicalNot: (ctx) => not(ctx, cast(ctx.b, tensor(ctx, 0), 'bool')),
  Where: where,
  Clip: clip,
  Cast: castTo,
  ZerosLike: fillLike(0),
  OnesLike: fillLike(1),
  Absolute: keeping('Abs'),
  Abs: keeping('Abs'),
  Negative: keeping('Neg'),
  Sign: keeping('Sign'),
  Copy: keeping('Identity'),
  StopGradient: keeping('Identity'),
  Identity: keeping('Identity'),
  Square: (ctx) => {
    const x = tensor(ctx, 0);
    return like(x, ctx.b.op('Mul', [x.value, x.value], {}, ctx.name));
  },
  Exp: unary(op('Exp')),
  Log: unary(op('Log')),
  Sqrt: unary(op('Sqrt')),
  Sin: unary(op('Sin')),
  Cos: unary(op('Cos')),
  Tan: unary(op('Tan')),
  Tanh: unary(op('Tanh')),
  Sinh: unary(op('Sinh')),
  Cosh: unary(op('Cosh')),
  Arcsin: unary(op('Asin')),
  Arccos: unary(op('Acos')),
  Arctan: unary(op('Atan')),
  Arcsinh: unary(op('Asinh')),
  Arccosh: unary(op('Acosh')),
  Arctanh: unary(op('Atanh')),
  Erf: unary(op('Erf')),
  Floor: unary(op('Floor')),
  Ceil: unary(op('Ceil')),
  Reciprocal: unary(op('Reciprocal')),
  Round: (ctx) => {
    const x = cast(ctx.b, tensor(ctx, 0), 'float32');
    const factor = 10 ** numberOf(ctx, 1, 'decimals', 0);
    const round = (value: string): string => ctx.b.op('Round', [value], {}, `${ctx.name}/round`);
    return like(
      x,
      factor === 1
        ? round(x.value)
        : ctx.b.op(
            'Div',
            [round(ctx.b.op('Mul', [x.value, ctx.b.scalar(factor)], {}, `${ctx.name}/scaled`)), ctx.b.scalar(factor)],
            {},
            ctx.name,
          ),
    );
  },
  Trunc: unary((b, x, name) =>
    b.op(
      'Mul',
      [
        b.op('Sign', [x], {}, `${name}/sign`),
        b.op('Floor', [b.op('Abs', [x], {}, `${name}/abs`)], {}, `${name}/floor`),
      ],
      {},
      name,
    ),
  ),
  Rsqrt: unary((b, x, name) => b.op('Reciprocal', [b.op('Sqrt', [x], {}, `${name}/sqrt`)], {}, name)),
  Log1p: unary((b, x, name) => b.op('Log', [b.op('Add', [x, b.scalar(1)], {}, `${name}/shifted`)], {}, name)),
  Expm1: unary((b, x, name) => b.op('Sub', [b.op('Exp', [x], {}, `${name}/exp`), b.scalar(1)], {}, name)),
  Exp2: unary((b, x, name) => b.op('Exp', [b.op('Mul', [x, b.scalar(Math.LN2)], {}, `${name}/scaled`)], {}, name)),
  Log2: unary(scaledLog(2)),
  Log10: unary(scaledLog(10)),
  Isnan: (ctx) => {
    const x = tensor(ctx, 0);
    return { ...like(x, ctx.b.op('IsNaN', [x.value], {}, ctx.name)), dtype: 'bool' };
  },
  Isinf: (ctx) => {
    const x = tensor(ctx, 0);
    return { ...like(x, ctx.b.op('IsInf', [x.value], {}, ctx.name)), dtype: 'bool' };
  },
};
