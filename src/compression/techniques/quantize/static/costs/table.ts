/** Costs of layers on one instruction set, in nanoseconds on one thread, as linear functions of counts. */
import { COUNTS, type Layer, type LayerCounts, type LayerKind } from './layer.ts';

/** Nanoseconds per count; absent counts cost nothing. */
export type UnitCosts = Partial<LayerCounts>;

export interface CostTable {
  readonly instructionSet: string;
  /** The processor, runtime and date of the measurement. */
  readonly measured: string;
  /** False if only the difference between float and int8 was measured. */
  readonly absolute: boolean;
  readonly layers: Readonly<Record<LayerKind, { readonly float: UnitCosts; readonly int8: UnitCosts }>>;
  /** Per element converted between float and integer operators, including the change of layout. */
  readonly conversionNs: number;
  /** Per output element of an integer max pooling in [n, c, h, w], beyond the cost in float (pools.ts). */
  readonly poolNs: number;
}

export function predictedNs(table: CostTable, { kind, counts }: Layer, precision: 'float' | 'int8'): number {
  const costs = table.layers[kind][precision];
  return COUNTS.reduce((sum, count) => sum + (costs[count] ?? 0) * counts[count], 0);
}
