/** Every Keras layer that can be converted, by class name. */
import type { LayerConverter } from './layer.ts';
import { ATTENTION_LAYERS } from './layers/attention.ts';
import { CONVOLUTION_LAYERS } from './layers/convolution.ts';
import { CORE_LAYERS } from './layers/core.ts';
import { MERGE_LAYERS } from './layers/merge.ts';
import { NORMALIZATION_LAYERS } from './layers/normalization.ts';
import { POOLING_LAYERS } from './layers/pooling.ts';
import { PREPROCESSING_LAYERS } from './layers/preprocessing.ts';
import { RECURRENT_LAYERS } from './layers/recurrent.ts';
import { RESHAPE_LAYERS } from './layers/reshape.ts';
import { RESIZE_LAYERS } from './layers/resize.ts';
import { SPECTROGRAM_LAYERS } from './layers/spectrogram.ts';
import { WRAPPER_LAYERS } from './layers/wrappers.ts';

export const KERAS_LAYERS: ReadonlyMap<string, LayerConverter> = new Map(
  Object.entries({
    ...CORE_LAYERS,
    ...CONVOLUTION_LAYERS,
    ...POOLING_LAYERS,
    ...NORMALIZATION_LAYERS,
    ...MERGE_LAYERS,
    ...RESHAPE_LAYERS,
    ...RESIZE_LAYERS,
    ...RECURRENT_LAYERS,
    ...ATTENTION_LAYERS,
    ...WRAPPER_LAYERS,
    ...PREPROCESSING_LAYERS,
    ...SPECTROGRAM_LAYERS,
  }),
);
