/** The context in which a Keras layer is converted, and typed access to its settings and arrays. */
import { itemOf } from '../../ir/checked-access.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import { product, type DataFormat, type Signal } from './signal.ts';

/** One array of a layer, float32 whatever the file stores. */
export interface WeightArray {
  readonly dims: readonly number[];
  readonly values: Float32Array;
  /** Where the file holds it: an HDF5 path, or a name in TF.js's manifest. */
  readonly place?: string;
}

export type Config = Readonly<Record<string, unknown>>;

export type KerasRuntime = 'keras' | 'tfjs';

export interface LayerContext {
  readonly b: GraphBuilder;
  readonly className: string;
  readonly name: string;
  readonly config: Config;
  /** Keras 2 and 3 disagree on a few defaults (hard_sigmoid). */
  readonly kerasMajor: number;
  /** The runtime whose results the conversion reproduces: TF.js places the pixels of resized images differently. */
  readonly runtime: KerasRuntime;
  readonly inputs: readonly Signal[];
  /** Keyword arguments of the call: signals by name. */
  readonly keywords: ReadonlyMap<string, readonly Signal[]>;
  /** Other keyword arguments of the call, as serialized. */
  readonly callArguments: Config;
  /** The layer's arrays in the order Keras creates them. */
  readonly weights: readonly WeightArray[];
  /** Masks of the inputs, or those that the call gives: bool values [n, steps], null where there is none. */
  readonly masks: readonly (string | null)[];
  maskOf(signal: Signal): string | null;
  /** Attaches a mask to a tensor or removes it; the mask goes with the value to its readers. */
  setMask(signal: Signal, mask: string | null): void;
  /**
   * Converts an inner layer or model (wrappers): its serialized form, its inputs, its arrays; `attribute`: where the
   * wrapper keeps it.
   */
  inner(layer: Config, inputs: readonly Signal[], weights: readonly WeightArray[], attribute: string): Signal[];
}

export type LayerConverter = (ctx: LayerContext) => Signal | Signal[];

/** A layer that cannot be converted, and why. */
export class UnsupportedLayer extends Error {}

export function input(ctx: LayerContext, index = 0): Signal {
  const signal = ctx.inputs[index];
  if (!signal) throw new Error(`has no input ${index}`);
  return signal;
}

export const keyword = (ctx: LayerContext, name: string): Signal | undefined => ctx.keywords.get(name)?.[0];

export function weight(ctx: LayerContext, index: number, what: string): WeightArray {
  const array = ctx.weights[index];
  if (!array) throw new Error(`has no ${what}: the file holds ${ctx.weights.length} arrays for it`);
  return array;
}

/** Adds an array to the graph under the layer's name. */
export function constant(ctx: LayerContext, suffix: string, { dims, values }: WeightArray): string {
  return ctx.b.weight(`${ctx.name}/${suffix}`, dims, values);
}

/** As `constant`, of values that the layer has no array for; training does not change them. */
export function setting(ctx: LayerContext, suffix: string, dims: readonly number[], values: ArrayLike<number>): string {
  return ctx.b.setting(`${ctx.name}/${suffix}`, dims, values);
}

export function flag(config: Config, key: string, fallback: boolean): boolean {
  const value = config[key];
  return typeof value === 'boolean' ? value : fallback;
}

export function number(config: Config, key: string, fallback: number): number {
  const value = config[key];
  return typeof value === 'number' ? value : fallback;
}

export function text(config: Config, key: string, fallback: string): string {
  const value = config[key];
  return typeof value === 'string' ? value : fallback;
}

/** A list of ints, or one int repeated `length` times. */
export function ints(config: Config, key: string, length: number, fallback: number): number[] {
  const value = config[key];
  if (Array.isArray(value)) return value.map(Number);
  return Array.from({ length }, () => (typeof value === 'number' ? value : fallback));
}

export function dataFormat(config: Config): DataFormat {
  return config['data_format'] === 'channels_first' ? 'channels_first' : 'channels_last';
}

/** [n, ...] with the axes after the batch multiplied out. */
export const flatSize = (signal: Signal): number | null => product(signal.shape.slice(1));

/** Swaps the axes of a row-major array. */
export function transpose({ dims, values }: WeightArray, perm: readonly number[]): WeightArray {
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, d) => a * d, 1));
  const target = perm.map((axis) => itemOf(dims, axis, 'the shape of the array'));
  const steps = perm.map((axis) => itemOf(strides, axis, 'the shape of the array'));
  const result = new Float32Array(values.length);
  const index = target.map(() => 0);
  for (let i = 0, offset = 0; i < result.length; i++) {
    result[i] = values[offset]!;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      offset += steps[axis]!;
      if (++index[axis]! < target[axis]!) break;
      offset -= steps[axis]! * target[axis]!;
      index[axis] = 0;
    }
  }
  return { dims: target, values: result };
}
