/**
 * A model lowered for the engine: ONNX graph -> ordered instructions with a layout each, parameters as variables, run
 * differentiably. (Interface; `lower.ts` makes it, `layout.ts` assigns layouts, `execute.ts` runs it.)
 */
import type { Model, TensorType } from '../ir/types.ts';
import type { UntrainableNode } from '../../contracts/model.ts';
import type { Value } from '../operators/operator.ts';
import type { LoopLimit } from './loop-limit.ts';
import type { SharedBatch } from '../tensor/nn.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { NetworkParts } from './network-parts.ts';
import type { FrozenWeight, Parameter } from './parameter.ts';

export type { Parameter } from './parameter.ts';

export interface RunOptions {
  readonly training: boolean;
  /** The replicas whose shares make up the batch: its statistics are those of the whole. Absent: this run has it all. */
  readonly sharedBatch?: SharedBatch;
  /** Values to return beside the graph's outputs (feature maps for hints). ONNX order. */
  readonly fetch?: readonly string[];
  /** int32 [2] tensor, new every step: the seed of Dropout and random operators. Absent: operators draw from seed 0. */
  readonly seed?: TfTensor;
  /**
   * What loops (Loop, Scan) may take; one that goes beyond ends the run with `deadline-exceeded` or `out-of-memory`.
   * Absent: no limit.
   */
  readonly loops?: LoopLimit;
  /**
   * Values between the instructions are freed after their last use: a deep network then holds few of them at once. Only
   * where no gradient is taken.
   */
  readonly freesValues?: boolean;
}

export interface RunResult {
  /** By name, in ONNX order of axes. */
  readonly outputs: ReadonlyMap<string, Value>;
  /** New running statistics by initializer name (training BatchNormalization), in the variable's physical layout. */
  readonly stateUpdates: ReadonlyMap<string, TfTensor>;
}

export interface Network {
  /** What it was made of. */
  readonly parts: NetworkParts;
  readonly model: Model;
  readonly inputs: readonly { readonly name: string; readonly type: TensorType }[];
  readonly outputs: readonly { readonly name: string; readonly type: TensorType | null }[];
  /** Trainable: float, and on a differentiable path to an output. */
  readonly parameters: readonly Parameter[];
  /** Running statistics: changed by training, not by gradients. */
  readonly state: readonly Parameter[];
  /** Weights that gradients cannot reach, with the node in the way. */
  readonly frozen: readonly FrozenWeight[];
  /** Must be called inside a `tf.tidy` (or its results disposed): intermediates are not freed by `run` itself. */
  run(feeds: ReadonlyMap<string, Value>, options: RunOptions): RunResult;
  /** The model with the variables' present values written back into the same graph; all else untouched. */
  toModel(): Promise<Model>;
  /** Sets variables from a model of the same structure. */
  load(model: Model): void;
  dispose(): void;
}

export type Lowered =
  | { readonly ok: true; readonly network: Network }
  | { readonly ok: false; readonly untrainable: readonly [UntrainableNode, ...UntrainableNode[]] };
