/** The context in which a function of keras.ops is converted, and typed access to its arguments. */
import { itemOf, type Mapped, mapTuple } from '../../../ir/checked-access.ts';
import type { DataType } from '../../../ir/types.ts';
import type { GraphBuilder } from '../../graph-builder.ts';
import { isList, isSignal, type Argument } from '../argument.ts';
import { UnsupportedLayer } from '../layer.ts';
import { cast, image, plain, plainSignal, typeOf, type Shape, type Signal } from '../signal.ts';

export interface OperationContext {
  readonly b: GraphBuilder;
  readonly kerasMajor: number;
  readonly name: string;
  readonly args: readonly Argument[];
  /** Keyword arguments, and those the operation was made with. */
  readonly kwargs: ReadonlyMap<string, Argument>;
}

export type Operation = (ctx: OperationContext) => Signal | Signal[];

/** An argument by name or by position. */
export function argument(ctx: OperationContext, position: number, name: string): Argument | undefined {
  return ctx.kwargs.get(name) ?? ctx.args[position] ?? undefined;
}

export function numberOf(ctx: OperationContext, position: number, name: string, fallback: number): number {
  const value = argument(ctx, position, name);
  return typeof value === 'number' ? value : fallback;
}

export const flagOf = (ctx: OperationContext, position: number, name: string): boolean =>
  argument(ctx, position, name) === true;

/** A list of ints, or one; null where it is not given. */
export function intsOf(ctx: OperationContext, position: number, name: string): number[] | null {
  const value = argument(ctx, position, name);
  if (value === undefined || value === null) return null;
  const list = isList(value) ? value : [value];
  if (list.some((item) => typeof item !== 'number'))
    throw new UnsupportedLayer(`its argument "${name}" is computed at run time`);
  return list.map(Number);
}

/** As `intsOf`, of an argument that must be given. */
export function requiredInts(ctx: OperationContext, position: number, name: string): number[] {
  const given = intsOf(ctx, position, name);
  if (!given) throw new Error(`has no argument "${name}"`);
  return given;
}

/** A tensor argument; numbers and arrays become constants. */
export function tensor(ctx: OperationContext, position: number, name = 'x'): Signal {
  const value = argument(ctx, position, name);
  if (isSignal(value)) return value;
  if (value === undefined || value === null) throw new Error(`has no argument "${name}"`);
  return constant(ctx, value);
}

function constant({ b, name }: OperationContext, value: Argument): Signal {
  const raw =
    typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'literal' ? value.value : value;
  const flat = [raw].flat(Infinity).map(Number);
  if (flat.some((one) => Number.isNaN(one)))
    throw new UnsupportedLayer('an argument that is neither a tensor nor numbers is not supported');
  const shape = dimsOf(raw);
  const dtype: DataType = flat.every(Number.isInteger) ? 'int32' : 'float32';
  if (shape.length === 0) return plainSignal(b.scalar(itemOf(flat, 0, 'the argument'), dtype), shape, dtype);
  const made =
    dtype === 'float32' ? b.setting(`${name}/constant`, shape, flat) : b.weight(`${name}/constant`, shape, flat, dtype);
  return plainSignal(made, shape, dtype);
}

function dimsOf(value: unknown): number[] {
  return Array.isArray(value) ? [value.length, ...(value.length > 0 ? dimsOf(value[0]) : [])] : [];
}

/** Several tensors, given as a list. */
export function tensors(ctx: OperationContext, name = 'xs'): Signal[] {
  const list = argument(ctx, 0, name);
  if (!isList(list)) return ctx.args.filter(isSignal);
  return list.map((item) => (isSignal(item) ? item : constant(ctx, item)));
}

const WIDTH: readonly DataType[] = [
  'bool',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'int64',
  'uint64',
  'float32',
];

/** All as the widest of their types, as numpy promotes; constants bend to the tensors. */
export function promoted<const S extends readonly Signal[]>(
  b: GraphBuilder,
  signals: S,
  atLeast: DataType = 'bool',
): Mapped<S, Signal> {
  const rank = Math.max(WIDTH.indexOf(atLeast), ...signals.map((signal) => WIDTH.indexOf(typeOf(signal))));
  const dtype = itemOf(WIDTH, rank, 'the list of types');
  return mapTuple(signals, (signal) => cast(b, signal, dtype));
}

/** In one order of axes: channels first where one is, and all others are of the same rank or scalars. */
export function aligned<const S extends readonly Signal[]>(
  b: GraphBuilder,
  signals: S,
): { values: Mapped<S, string>; channelsFirst: boolean } {
  const rank = Math.max(...signals.map(({ shape }) => shape.length));
  const channelsFirst =
    signals.some((signal) => signal.channelsFirst) &&
    signals.every(({ shape }) => shape.length === rank || shape.length === 0);
  return {
    values: mapTuple(signals, (signal) =>
      channelsFirst && signal.shape.length > 0 ? image(b, signal, 'channels_last') : plain(b, signal),
    ),
    channelsFirst,
  };
}

/** Numpy's broadcasting of shapes. */
export function broadcast(shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes
      .map((shape) => shape[axis - rank + shape.length])
      .filter((size) => size !== undefined && size !== 1);
    return sizes.length === 0 ? 1 : (sizes.find((size) => size !== null) ?? null);
  });
}

/** The axis counted from the front. */
export const positive = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
