/** A node of a TensorFlow graph as converters see it, and the values between them. */
import { existing, itemOf } from '../../ir/checked-access.ts';
import type { DataType } from '../../ir/types.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import type { TfjsWeight } from './manifest.ts';

/** AttrValue in protobuf's JSON form. */
export interface AttrValue {
  readonly i?: string | number;
  readonly f?: number;
  readonly b?: boolean;
  readonly s?: string;
  readonly type?: string;
  readonly shape?: { readonly dim?: readonly { readonly size: string | number }[]; readonly unknownRank?: boolean };
  readonly list?: {
    readonly i?: readonly (string | number)[];
    readonly f?: readonly number[];
    readonly s?: readonly string[];
  };
}

export interface NodeDef {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, AttrValue>>;
}

/**
 * A tensor on its way to ONNX. Images that a convolution made lie channels first until an operator needs TensorFlow's
 * order.
 */
export interface TfValue {
  readonly value: string;
  /** The ONNX value is [n, c, h, w] while TensorFlow's is [n, h, w, c]. */
  readonly channelsFirst: boolean;
  readonly constant: TfjsWeight | null;
  /** Of a small vector put together from scalars: those that are constant. */
  readonly elements?: readonly (number | null)[];
}

export interface NodeContext {
  readonly b: GraphBuilder;
  readonly node: NodeDef;
  readonly inputs: readonly TfValue[];
}

export type NodeConverter = (ctx: NodeContext) => TfValue | TfValue[];

export class UnsupportedNode extends Error {}

export const plainValue = (value: string): TfValue => ({ value, channelsFirst: false, constant: null });
export const imageValue = (value: string): TfValue => ({ value, channelsFirst: true, constant: null });

export function at({ inputs }: NodeContext, index: number): TfValue {
  const value = inputs[index];
  if (!value) throw new Error(`has no input ${index}`);
  return value;
}

/** The input in TensorFlow's order of axes. */
export function plain(ctx: NodeContext, index: number): string {
  const { value, channelsFirst } = at(ctx, index);
  return channelsFirst ? ctx.b.op('Transpose', [value], { perm: [0, 2, 3, 1] }, `${value}_channels_last`) : value;
}

/** The input, of rank 4, channels first. */
export function image(ctx: NodeContext, index: number): string {
  if (string(ctx, 'data_format', 'NHWC') === 'NCHW') return plain(ctx, index);
  const { value, channelsFirst } = at(ctx, index);
  return channelsFirst ? value : ctx.b.op('Transpose', [value], { perm: [0, 3, 1, 2] }, `${value}_channels_first`);
}

/** The result of an operator that computed channels first. */
export const imageResult = (ctx: NodeContext, value: string): TfValue =>
  string(ctx, 'data_format', 'NHWC') === 'NCHW' ? plainValue(value) : imageValue(value);

/** Numbers of an input that must be constant (axes, kernels). */
export function constantAt(ctx: NodeContext, index: number, what: string): TfjsWeight {
  const { constant } = at(ctx, index);
  if (!constant) throw new UnsupportedNode(`its ${what} is computed at run time`);
  return constant;
}

export const numbersAt = (ctx: NodeContext, index: number, what: string): number[] =>
  Array.from(constantAt(ctx, index, what).values);

/** The number of a constant scalar, or the first of a vector. */
export const numberAt = (ctx: NodeContext, index: number, what: string): number =>
  itemOf(numbersAt(ctx, index, what), 0, what);

/** Numbers of a vector as far as they are constant; null: not even its length is known. */
export function elementsAt(ctx: NodeContext, index: number): readonly (number | null)[] | null {
  const { constant, elements } = at(ctx, index);
  return constant ? Array.from(constant.values) : (elements ?? null);
}

/** An int32 input (a shape, indices) as the int64 that ONNX requires; scalars as vectors of one. */
export function int64At(ctx: NodeContext, index: number): string {
  const { constant } = at(ctx, index);
  if (constant && constant.dims.length > 1)
    return ctx.b.weight(`${constant.name}_int64`, constant.dims, constant.values, 'int64');
  if (constant) return ctx.b.ints(Array.from(constant.values));
  return ctx.b.op('Cast', [plain(ctx, index)], { to: 7 }, `${ctx.node.name}/int64`);
}

export function int({ node }: NodeContext, name: string, fallback: number): number {
  const value = node.attr?.[name]?.i;
  return value === undefined ? fallback : Number(value);
}

export function float({ node }: NodeContext, name: string, fallback: number): number {
  return node.attr?.[name]?.f ?? fallback;
}

export function bool({ node }: NodeContext, name: string): boolean {
  return node.attr?.[name]?.b ?? false;
}

export function ints({ node }: NodeContext, name: string): number[] {
  return (node.attr?.[name]?.list?.i ?? []).map(Number);
}

/** Strings are bytes in base64 in protobuf's JSON. */
export function string({ node }: NodeContext, name: string, fallback: string): string {
  const value = node.attr?.[name]?.s;
  return value === undefined ? fallback : decodeString(value);
}

export const decodeString = (value: string): string => Buffer.from(value, 'base64').toString('latin1');

export function strings({ node }: NodeContext, name: string): string[] {
  return (node.attr?.[name]?.list?.s ?? []).map(decodeString);
}

const TYPES: Readonly<Record<string, DataType>> = {
  DT_FLOAT: 'float32',
  DT_INT32: 'int32',
  DT_BOOL: 'bool',
  DT_INT64: 'int64',
  DT_UINT8: 'uint8',
  DT_HALF: 'float32',
  DT_DOUBLE: 'float32',
};

/** Types come as names or as enum numbers. */
export function typeOf(type: string | number | undefined): DataType {
  const names: Readonly<Record<number, string>> = {
    1: 'DT_FLOAT',
    3: 'DT_INT32',
    4: 'DT_UINT8',
    9: 'DT_INT64',
    10: 'DT_BOOL',
    19: 'DT_HALF',
    2: 'DT_DOUBLE',
  };
  const dtype = TYPES[typeof type === 'number' ? (names[type] ?? '') : (type ?? 'DT_FLOAT')];
  if (!dtype) throw new UnsupportedNode(`the type ${type} has no ONNX form`);
  return dtype;
}

/** ONNX's number of an element type. */
const ONNX_TYPE: Readonly<Partial<Record<DataType, number>>> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
};

export const onnxType = (dtype: DataType): number => existing(ONNX_TYPE[dtype], `ONNX's number of ${dtype}`);

export interface DerivedWeight {
  readonly layout: string;
  readonly dims: readonly number[];
  readonly values: ArrayLike<number>;
  readonly dtype?: DataType;
}

/**
 * A constant in the layout that an operator wants; operators that read the same constant in the same layout share one
 * weight.
 */
export function weightOf(
  { b }: NodeContext,
  { name }: TfjsWeight,
  { layout, dims, values, dtype }: DerivedWeight,
): string {
  return b.layer(`${name} ${layout}`, () => b.weight(name, dims, values, dtype));
}
