/** Functions of one element. */
import { roundHalfEven } from '../ir/number-formats.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { ofFirst } from './channels/elementwise.ts';
import { discrete, exactIntegers, FOLLOWS, FULL, ZERO, type HostForm, needs } from './define.ts';
import { absolute } from './device/elementwise.ts';
import { cast } from './host/cast.ts';
import { map, mapTo, type Unary } from './host/elementwise.ts';
import type { Operator, RunContext } from './operator.ts';
import { sameType, shapeOf } from './shapes.ts';

const common = {
  domain: '',
  since: 1,
  layout: FOLLOWS,
  differentiability: FULL,
  infer: sameType(),
  channels: ofFirst,
} as const;

function unary(type: string, host: Unary, device: (x: TfTensor) => TfTensor, more: Partial<Operator> = {}): Operator {
  const exact: HostForm = needs(1, ([x]) => [map(x, host)]);
  return { ...common, type, host: exact, device: exactIntegers(exact, (ctx) => [device(ctx.tensor(0))]), ...more };
}

/** A staircase: its gradient is zero wherever it exists. */
function stairs(type: string, host: Unary, device: (x: TfTensor) => TfTensor): Operator {
  const exact: HostForm = needs(1, ([x]) => [map(x, host)]);
  return {
    ...common,
    type,
    differentiability: ZERO,
    host: exact,
    device: exactIntegers(
      exact,
      discrete((ctx) => [device(ctx.tensor(0))]),
    ),
  };
}

function predicate(type: string, host: HostForm, device: (ctx: RunContext) => TfTensor): Operator {
  return {
    ...common,
    type,
    differentiability: ZERO,
    host,
    infer: (info) => [{ dtype: 'bool', shape: shapeOf(info) }],
    device: discrete((ctx) => [device(ctx)]),
  };
}

/** -x, |x| and sign of 64-bit integers. */
const NEGATE = { number: (x: number) => -x, big: (x: bigint) => -x };
const ABSOLUTE = { number: Math.abs, big: (x: bigint) => (x < 0n ? -x : x) };
const SIGN = { number: Math.sign, big: (x: bigint) => (x > 0n ? 1n : x < 0n ? -1n : 0n) };

/** Both infinities, or one alone, as the attributes say. */
const hostIsInf: HostForm = needs(1, ([x], info) => {
  const [negative, positive] = [info.int('detect_negative', 1) === 1, info.int('detect_positive', 1) === 1];
  return [mapTo(x, 'bool', (v: number) => ((positive && v === Infinity) || (negative && v === -Infinity) ? 1 : 0))];
});

function isInfinite(ctx: RunContext): TfTensor {
  const x = ctx.tensor(0);
  const [negative, positive] = [ctx.int('detect_negative', 1) === 1, ctx.int('detect_positive', 1) === 1];
  if (negative && positive) return tf.isInf(x);
  if (!negative && !positive) return tf.cast(tf.zerosLike(x), 'bool');
  return tf.logicalAnd(tf.isInf(x), positive ? tf.greater(x, 0) : tf.less(x, 0));
}

/**
 * Abramowitz and Stegun's approximations fall short of float64: the series for small x, the continued fraction for
 * large.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return NaN;
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  const value = magnitude < 2.5 ? erfSeries(magnitude) : 1 - erfcFraction(magnitude);
  return x < 0 ? -value : value;
}

/** 2 / sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!: all terms positive (DLMF 7.6.2). */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** DLMF 7.9.1, from the end. */
function erfcFraction(x: number): number {
  let tail = 0;
  for (let n = 60; n >= 1; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + tail));
}

export const unaryOperators: readonly Operator[] = [
  unary('Neg', NEGATE, (x) => tf.neg(x)),
  unary('Abs', ABSOLUTE, absolute),
  unary('Sqrt', { number: Math.sqrt }, (x) => tf.sqrt(x)),
  unary('Exp', { number: Math.exp }, (x) => tf.exp(x)),
  unary('Log', { number: Math.log }, (x) => tf.log(x)),
  unary('Reciprocal', { number: (x) => 1 / x }, (x) => tf.reciprocal(x)),
  unary('Sin', { number: Math.sin }, (x) => tf.sin(x)),
  unary('Cos', { number: Math.cos }, (x) => tf.cos(x)),
  unary('Tan', { number: Math.tan }, (x) => tf.tan(x)),
  unary('Asin', { number: Math.asin }, (x) => tf.asin(x)),
  unary('Acos', { number: Math.acos }, (x) => tf.acos(x)),
  unary('Atan', { number: Math.atan }, (x) => tf.atan(x)),
  unary('Sinh', { number: Math.sinh }, (x) => tf.sinh(x)),
  unary('Cosh', { number: Math.cosh }, (x) => tf.cosh(x)),
  unary('Asinh', { number: Math.asinh }, (x) => tf.asinh(x)),
  unary('Acosh', { number: Math.acosh }, (x) => tf.acosh(x)),
  unary('Atanh', { number: Math.atanh }, (x) => tf.atanh(x)),
  unary('Erf', { number: erf, big: (x) => BigInt(Math.trunc(erf(Number(x)))) }, (x) => tf.erf(x)),
  stairs('Floor', { number: Math.floor }, (x) => tf.floor(x)),
  stairs('Ceil', { number: Math.ceil }, (x) => tf.ceil(x)),
  stairs('Round', { number: roundHalfEven }, (x) => tf.round(x)),
  stairs('Sign', SIGN, (x) => tf.sign(x)),
  predicate(
    'IsNaN',
    needs(1, ([x]) => [mapTo(x, 'bool', (v: number) => (Number.isNaN(v) ? 1 : 0))]),
    (ctx) => tf.isNaN(ctx.tensor(0)),
  ),
  predicate('IsInf', hostIsInf, isInfinite),
  predicate(
    'Not',
    needs(1, ([x]) => [map(cast(x, 'bool'), { number: (v) => 1 - v })]),
    (ctx) => tf.logicalNot(tf.cast(ctx.tensor(0), 'bool')),
  ),
];
