/**
 * An operator's rule for channels: which axes of its inputs and outputs shrink together, and how the node changes when
 * they do.
 */
import type { AxisUnits } from './units.ts';
import type { Attribute, Node, TensorType } from '../../ir/types.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import type { NodeInfo } from '../../ir/node-info.ts';

/** Labels of a value's axes, in ONNX order. */
export type ValueUnits = readonly AxisUnits[];

/** A node's surroundings while channels are coupled. */
export interface Coupling {
  readonly info: NodeInfo;
  /**
   * Labels of an input; null where it is absent or of unknown rank. An input that a rule does not ask for is frozen.
   */
  input(index: number): ValueUnits | null;
  /** The type of an output, as inferred. */
  output(index: number): TensorType | null;
  /** True where the value depends on constants alone: a weight, whichever operators it passed through. */
  isWeight(index: number): boolean;
  fresh(size: number): AxisUnits;
  unite(a: number, b: number): void;
  /** As `Units.uniteAxes`. */
  same(a: AxisUnits, b: AxisUnits): AxisUnits;
  freeze(axis: AxisUnits): void;
  freezeUnit(unit: number): void;
  /** The present representative of the unit's class. */
  representative(unit: number): number;
  /** The channels that a weight makes: its filters, columns or cells. Only such units are removed. */
  makes(axis: AxisUnits): void;
}

/** A node's surroundings once the units to remove are known. */
export interface Shrinking {
  readonly info: NodeInfo;
  /** Labels; empty where none are known. */
  input(index: number): ValueUnits;
  output(index: number): ValueUnits;
  /** The type of an output before pruning. */
  outputType(index: number): TensorType | null;
  /** Indices along the axis that stay. */
  kept(axis: Int32Array): number[];
  /** Size of an axis afterwards. */
  size(axis: Int32Array): number;
  /** A name that is still free. */
  name(base: string): string;
  /** True where part of the axis is removed. */
  shrinks(axis: AxisUnits | undefined): axis is Int32Array;
}

/** Changes to a node: attributes (null: removed), and inputs that become constants or the results of other nodes. */
export interface Shrunk {
  readonly attributes?: Readonly<Record<string, Attribute | null>>;
  readonly constants?: ReadonlyMap<number, HostTensor>;
  readonly computed?: ReadonlyMap<number, Computed>;
}

/** A value computed by a node inserted before this one, from names and new constants. */
export interface Computed {
  readonly node: Node;
  readonly constants: ReadonlyMap<string, HostTensor>;
}

/**
 * `removes`: channels of its weights can go. `passes`: channels go through it. Without a rule, an operator keeps all
 * channels of its inputs.
 */
export interface ChannelRule {
  readonly kind: 'removes' | 'passes';
  /** Unites the labels that belong together; returns the labels of the outputs. */
  couple(ctx: Coupling): readonly (ValueUnits | null)[];
  /** Needed where attributes or constants count channels. */
  shrink?(ctx: Shrinking): Shrunk;
}

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });

/** Freezes the axes that `which` names, and gives the labels of the rest. */
export function keepAll(
  ctx: Coupling,
  units: ValueUnits | null,
  which: (axis: number) => boolean = () => true,
): ValueUnits | null {
  return (
    units &&
    units.map((axis, i) => {
      if (!which(i)) return axis;
      ctx.freeze(axis);
      return null;
    })
  );
}

/** Each label `times` times in a row. */
export function repeated(axis: AxisUnits, times: number): AxisUnits {
  return axis && Int32Array.from({ length: axis.length * times }, (_, i) => axis[Math.floor(i / times)]!);
}

/** All labels, `times` times over. */
export function tiled(axis: AxisUnits, times: number): AxisUnits {
  return axis && Int32Array.from({ length: axis.length * times }, (_, i) => axis[i % axis.length]!);
}

/**
 * Makes the axis the same in each of its `groups` equal parts, so that all parts stay equally large; gives the labels
 * of one part.
 */
export function tieAcrossGroups(ctx: Coupling, axis: AxisUnits, groups: number): AxisUnits {
  if (!axis) return null;
  const size = axis.length / groups;
  for (let i = size; i < axis.length; i++) ctx.unite(axis[i % size]!, axis[i]!);
  return axis.subarray(0, size);
}
