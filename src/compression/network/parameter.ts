/** A weight of a network as a variable on the device. */
import type { TfVariable } from '../tensor/tf.ts';

export interface Parameter {
  /** Initializer (or the output of the Constant node) it came from. */
  readonly name: string;
  /**
   * The constant of the model that holds its value: `name`, but for copies (passes/separate-statistics.ts) that have
   * not been trained yet.
   */
  readonly origin: string;
  /** Physical layout in the engine: `perm` of ONNX's axes. */
  readonly variable: TfVariable;
  readonly perm: readonly number[] | null;
  /** Shape in ONNX order. */
  readonly dims: readonly number[];
  /** What the operator that uses it calls it. */
  readonly role: 'kernel' | 'bias' | 'scale' | 'embedding' | 'slope' | 'running-mean' | 'running-variance' | 'other';
  /** Weight decay applies to kernels and embeddings only. */
  readonly decays: boolean;
}

/** A weight that gradients cannot reach, with the node in the way. */
export interface FrozenWeight {
  readonly parameter: string;
  readonly node: string;
  readonly reason: string;
}
