/** What a network is made of before its weights are on the device. */
import type { Copy } from '../graph/passes/separate-statistics.ts';
import type { Model } from '../ir/types.ts';
import type { FrozenWeight } from './parameter.ts';
import type { Weight } from './parameters.ts';
import type { Program } from './program.ts';

export interface NetworkParts {
  readonly model: Model;
  readonly program: Program;
  readonly opsets: ReadonlyMap<string, number>;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly state: ReadonlyMap<string, Weight>;
  readonly frozen: readonly FrozenWeight[];
  /** Constants of the model that its network has several times. */
  readonly copies: readonly Copy[];
}
