/** Changing element types. */
import { GraphError } from '../ir/graph-error.ts';
import { BITS, fromHost, isFloat, toHost } from '../ir/tensor-data.ts';
import { DATA_TYPES, type DataType } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { isRecording } from '../tensor/compile.ts';
import { deviceType } from './transfer.ts';
import { ofFirst } from './channels/elementwise.ts';
import {
  FOLLOWS,
  firstInput,
  hostInputs,
  hostValue,
  ONNX_ORDER,
  ZERO,
  type HostForm,
  needs,
  required,
} from './define.ts';
import { roundTo16 } from './device/rounding.ts';
import { cast, type CastOptions } from './host/cast.ts';
import { isInteger } from './host/data.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { typeOf } from './shapes.ts';

/** The `to` attribute. */
function target(info: NodeInfo): DataType {
  const dtype = DATA_TYPES[info.int('to', 0)];
  if (!dtype || dtype === 'undefined')
    throw new GraphError(`attribute "to" names no element type (${info.int('to', 0)})`);
  return dtype;
}

function like(info: NodeInfo): DataType {
  return typeOf(info, 1).dtype;
}

function options(info: NodeInfo): CastOptions {
  const roundMode = info.string('round_mode', 'up');
  if (roundMode !== 'up' && roundMode !== 'down' && roundMode !== 'nearest')
    throw new GraphError(`unknown round_mode "${roundMode}"`);
  return { saturate: info.int('saturate', 1) === 1, roundMode };
}

/**
 * Gradients pass between floats. Casts to and from integers that fit the device's 32 bits stay on the device; all
 * others run on the host.
 */
function run(ctx: RunContext, to: DataType): (TfTensor | Value)[] {
  const from = ctx.dtype(0);
  if (!simple(from, to)) return [hostValue(cast(required(hostInputs(ctx), 0), to, options(ctx)))];
  const x = ctx.tensor(0);
  if (isFloat(from) && isFloat(to)) return [to === 'float16' || to === 'bfloat16' ? roundTo16(x, to) : tf.clone(x)];
  return [withoutTape(() => convert(x, to))];
}

/**
 * Pairs of types that the device converts as ONNX does. It neither wraps narrow integers nor rounds narrow floats, and
 * only the host can tell whether an int64 needs more than 32 bits (a compiled step assumes 32).
 */
function simple(from: DataType, to: DataType): boolean {
  if (to === 'bool' || from === 'bool') return to !== 'string' && from !== 'string' && !NARROW.has(to);
  if (isInteger(from)) return to === 'float32' || to === 'float64' || to === 'int32' || to === 'int64';
  if (isFloat(from)) return (isFloat(to) && !NARROW.has(to)) || to === 'int32' || (to === 'int64' && isRecording());
  return false;
}

const NARROW: ReadonlySet<DataType> = new Set<DataType>([
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'float6e2m3',
  'float6e3m2',
  'float4e2m1',
  'float8e8m0',
]);

function convert(x: TfTensor, to: DataType): TfTensor {
  const type = deviceType(to);
  if (type === 'bool') return x.dtype === 'bool' ? tf.clone(x) : tf.notEqual(x, tf.zerosLike(x));
  return tf.cast(x, type);
}

function inferAs(to: (info: NodeInfo) => DataType): (info: NodeInfo) => Inferred[] {
  return (info) => {
    const { dtype, shape } = typeOf(info);
    const elements = isInteger(dtype) ? info.partial(0) : null;
    return [{ dtype: to(info), shape, ...(elements && { elements }) }];
  };
}

/** The same bits read as another type of the same width. */
const bitCast: HostForm = needs(1, ([x], info) => {
  const to = target(info);
  if (BITS[to] !== BITS[x.dtype] || BITS[to] === 0)
    throw new GraphError(`the bits of ${x.dtype} cannot be read as ${to}`);
  return [toHost({ name: '', dtype: to, dims: x.dims, bytes: fromHost('', x).bytes })];
});

function castOperator(type: string, since: number, to: (info: NodeInfo) => DataType): Operator {
  return {
    type,
    domain: '',
    since,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: firstInput(0),
    infer: inferAs(to),
    channels: ofFirst,
    host: needs(1, ([x], info) => [cast(x, to(info), options(info))]),
    device: (ctx) => run(ctx, to(ctx)),
  };
}

export const castOperators: readonly Operator[] = [
  castOperator('Cast', 1, target),
  castOperator('CastLike', 15, like),
  {
    type: 'BitCast',
    domain: '',
    since: 26,
    layout: ONNX_ORDER,
    differentiability: ZERO,
    infer: (info) => [{ dtype: target(info), shape: typeOf(info).shape }],
    host: bitCast,
  },
];
