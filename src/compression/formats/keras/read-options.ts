/**
 * What may look on while a Keras topology is read, and change what is read: writers read the upload again to learn
 * where its parts went.
 */
import type { LayerConfig } from './config.ts';
import type { Config } from './layer.ts';
import type { Signal } from './signal.ts';
import type { WeightSource } from './weights.ts';

export interface ReadOptions {
  /** The serialized model, before anything of it is read. */
  topology(model: Config): Config;
  weights(source: WeightSource): WeightSource;
  /** One call of a layer or of a nested model; `path`: the names of the models around it, each with a slash. */
  called(layer: LayerConfig, path: string, inputs: readonly Signal[], outputs: readonly Signal[]): void;
}

export const AS_STORED: ReadOptions = { topology: (model) => model, weights: (source) => source, called: () => {} };
