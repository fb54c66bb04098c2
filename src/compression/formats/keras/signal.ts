/**
 * A tensor on its way from a Keras model to ONNX. Keras thinks channels last, ONNX computes channels first: a signal
 * remembers in which order its ONNX value lies, so that transposes stand only where the two really meet (at image
 * inputs, and before layers that mix axes).
 */
import type { DataType } from '../../ir/types.ts';
import type { GraphBuilder } from '../graph-builder.ts';

export type Shape = readonly (number | null)[];

export interface Signal {
  /** Name of the ONNX value. */
  readonly value: string;
  /** Shape as Keras sees it: [batch, ...]. */
  readonly shape: Shape;
  /** The ONNX value is [n, c, ...spatial] while `shape` is [n, ...spatial, c]. */
  readonly channelsFirst: boolean;
  /** Of the ONNX value; float32 by default. */
  readonly dtype?: DataType;
}

export const typeOf = ({ dtype }: Signal): DataType => dtype ?? 'float32';

export const rankOf = (signal: Signal): number => signal.shape.length;

/** The permutation [n, ...spatial, c] -> [n, c, ...spatial]. */
export const toChannelsFirst = (rank: number): number[] => [0, rank - 1, ...range(1, rank - 1)];
/** The permutation [n, c, ...spatial] -> [n, ...spatial, c]. */
export const toChannelsLast = (rank: number): number[] => [0, ...range(2, rank), 1];

/** The value with axes in Keras's own order. */
export function plain(b: GraphBuilder, signal: Signal): string {
  return signal.channelsFirst
    ? b.op('Transpose', [signal.value], { perm: toChannelsLast(rankOf(signal)) }, `${signal.value}_channels_last`)
    : signal.value;
}

/** The value as [n, c, ...spatial], for a layer of `dataFormat`. */
export function image(b: GraphBuilder, signal: Signal, dataFormat: DataFormat): string {
  if (dataFormat === 'channels_first') return plain(b, signal);
  return signal.channelsFirst
    ? signal.value
    : b.op('Transpose', [signal.value], { perm: toChannelsFirst(rankOf(signal)) }, `${signal.value}_channels_first`);
}

export type DataFormat = 'channels_last' | 'channels_first';

/** The result of a layer that computed channels first. `channels` and `spatial` give the Keras shape. */
export function imageSignal(
  value: string,
  batch: number | null,
  spatial: Shape,
  channels: number | null,
  dataFormat: DataFormat,
): Signal {
  return dataFormat === 'channels_first'
    ? { value, shape: [batch, channels, ...spatial], channelsFirst: false }
    : { value, shape: [batch, ...spatial, channels], channelsFirst: true };
}

/** Spatial sizes and channels of a signal under a data format. */
export function imageShape({ shape }: Signal, dataFormat: DataFormat): { spatial: Shape; channels: number | null } {
  return dataFormat === 'channels_first'
    ? { spatial: shape.slice(2), channels: shape[1] ?? null }
    : { spatial: shape.slice(1, -1), channels: shape.at(-1) ?? null };
}

/** Keras axis (negative allowed) -> axis of the ONNX value. */
export function onnxAxis(signal: Signal, axis: number): number {
  const rank = rankOf(signal);
  const positive = axis < 0 ? axis + rank : axis;
  return signal.channelsFirst ? toChannelsFirst(rank).indexOf(positive) : positive;
}

/** Size of a Keras axis, which must be known. */
export function knownSize(signal: Signal, axis: number, what: string): number {
  const size = signal.shape.at(axis);
  if (typeof size !== 'number') throw new Error(`${what} is dynamic; it must have a fixed size`);
  return size;
}

export const plainSignal = (value: string, shape: Shape, dtype: DataType = 'float32'): Signal => ({
  value,
  shape,
  channelsFirst: false,
  dtype,
});

/** The same tensor under another name: an elementwise step keeps shape and order. */
export const like = (signal: Signal, value: string): Signal => ({ ...signal, value });

export const product = (sizes: Shape): number | null =>
  sizes.reduce<number | null>((total, size) => (total === null || size === null ? null : total * size), 1);

/** ONNX's codes for the target of a Cast. */
const TYPE_CODES: Partial<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  uint32: 12,
  uint64: 13,
};

/** The signal as `dtype`; itself where it is so already. */
export function cast(b: GraphBuilder, signal: Signal, dtype: DataType): Signal {
  if (typeOf(signal) === dtype) return signal;
  const to = TYPE_CODES[dtype];
  if (to === undefined) throw new Error(`tensors of type ${dtype} have no conversion`);
  return { ...signal, value: b.op('Cast', [signal.value], { to }, `${signal.value}_${dtype}`), dtype };
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i);
}
