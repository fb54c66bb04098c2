/** Costs of layers on the processors that a file is made for. */
import type { Node } from '../../../../ir/types.ts';
import type { Target } from '../../targets.ts';
import { AVX2 } from './avx2.ts';
import { AVX512_VNNI } from './avx512-vnni.ts';
import type { Layer } from './layer.ts';
import { predictedNs, type CostTable } from './table.ts';

export interface Costs {
  /** Nanoseconds that integers save in a layer, for one sample; negative where they are slower. */
  gainNs(node: Node, layer: Layer): number;
  /** As in `CostTable`. */
  readonly conversionNs: number;
  readonly poolNs: number;
}

const TABLES: readonly CostTable[] = [AVX2, AVX512_VNNI];
const VNNI: ReadonlySet<string> = new Set(['avx512-vnni', 'avx-vnni', 'amx-int8']);

/**
 * The tables for a target. None has been measured on ARM, so a file for it uses all of them, like one for any
 * processor. Empty if this machine's instruction set has no table: its layers are then timed.
 *
 * @param instructionSets of this machine (measure/processor.ts)
 */
export function tablesOf(target: Target, instructionSets: readonly string[]): readonly CostTable[] {
  const tables: Readonly<Record<Target, () => readonly CostTable[]>> = {
    any: () => TABLES,
    arm64: () => TABLES,
    'x86-avx2': () => [AVX2],
    'x86-vnni': () => [AVX512_VNNI],
    'this-machine': () => tableOfMachine(instructionSets),
  };
  return tables[target]();
}

function tableOfMachine(instructionSets: readonly string[]): readonly CostTable[] {
  if (instructionSets.some((name) => VNNI.has(name))) return [AVX512_VNNI];
  return instructionSets.at(-1) === 'avx2' ? [AVX2] : [];
}

/** Integers where they are faster on every one of the tables' processors. */
export function tableCosts(tables: readonly CostTable[]): Costs {
  return {
    gainNs: (_, layer) =>
      Math.min(...tables.map((table) => predictedNs(table, layer, 'float') - predictedNs(table, layer, 'int8'))),
    conversionNs: Math.max(...tables.map(({ conversionNs }) => conversionNs)),
    poolNs: Math.max(...tables.map(({ poolNs }) => poolNs)),
  };
}
