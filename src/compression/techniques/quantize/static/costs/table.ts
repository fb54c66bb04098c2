/** Costs of layers on one instruction set, in nanoseconds on one thread, as linear functions of what is counted. */
import { COUNTS, type Layer, type LayerCounts, type LayerKind } from './layer.ts';

/** Nanoseconds for each of what is counted; what is absent costs nothing. */
export type UnitCosts = Partial<LayerCounts>;

export interface CostTable {
  readonly instructionSet: string;
  /** The processor, runtime and date of the measurement. */
  readonly measured: string;
  /** False where only the difference of float and int8 was measured. */
  readonly absolute: boolean;
  readonly layers: Readonly<Record<LayerKind, { readonly float: UnitCosts; readonly int8: UnitCosts }>>;
  /** For each element that passes between float and integer operators, with the change of layout. */
  readonly conversionNs: number;
  /**
   * For each element that a max pooling of integers in the order [n, c, h, w] gives, beyond what floats take
   * (pools.ts).
   */
  readonly poolNs: number;
}

export function predictedNs(table: CostTable, { kind, counts }: Layer, precision: 'float' | 'int8'): number {
  const costs = table.layers[kind][precision];
  return COUNTS.reduce((sum, count) => sum + (costs[count] ?? 0) * counts[count], 0);
}
