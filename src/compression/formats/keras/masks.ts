/**
 * Keras's masks: a bool tensor [n, steps] that travels with a tensor and says which of its steps count. As in Keras the
 * mask belongs to the value, so that a layer that returns its input keeps it, and MultiHeadAttention takes it off for
 * everyone who reads the value later.
 */
import type { Signal } from './signal.ts';

export class Masks {
  readonly #byValue = new Map<string, string>();

  of({ value }: Signal): string | null {
    return this.#byValue.get(value) ?? null;
  }

  set({ value }: Signal, mask: string | null): void {
    if (mask === null) this.#byValue.delete(value);
    else this.#byValue.set(value, mask);
  }
}

/** Layers that hand the mask of their first input on (Keras's `supports_masking` with the inherited `compute_mask`). */
export const MASK_PASSING: ReadonlySet<string> = new Set([
  'Dense',
  'Activation',
  'ReLU',
  'LeakyReLU',
  'PReLU',
  'ELU',
  'Softmax',
  'ThresholdedReLU',
  'Identity',
  'ActivityRegularization',
  'Dropout',
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
  'SpatialDropout1D',
  'SpatialDropout2D',
  'SpatialDropout3D',
  'BatchNormalization',
  'BatchNormalizationV1',
  'BatchNormalizationV2',
  'SyncBatchNormalization',
  'LayerNormalization',
  'GroupNormalization',
  'UnitNormalization',
  'Normalization',
  'Rescaling',
  'TimeDistributed',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'GroupedQueryAttention',
  'Pipeline',
]);

/** Layers that take integers as they are; the inputs of all others are made floats, as Keras does. */
export const TAKES_INTEGERS: ReadonlySet<string> = new Set([
  'Embedding',
  'ReversibleEmbedding',
  'IntegerLookup',
  'CategoryEncoding',
  'Masking',
  'Flatten',
  'Reshape',
  'Permute',
  'RepeatVector',
  'Identity',
  'Dropout',
  'Concatenate',
]);
