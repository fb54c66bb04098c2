/**
 * Differences measured (docs/decisions/int8-where-it-is-faster.md), us a layer, float against int8: 1x1, 64 channels,
 * 28x28: 43, 19; 3x3, 32 channels, 28x28: 97, 35; 3x3, 128 channels, 7x7: 89, 27; product of a row with 1152x256: 26,
 * 9; but 3x3 of 1 channel to 32, 28x28: 10, 29; of 3 to 32, 224x224 by 2: 173, 441; depthwise 3x3, 32 channels, 28x28:
 * 11, 19.
 */
import type { CostTable } from './table.ts';

const PRODUCT = { float: { macs: 0.0085, weights: 0.05 }, int8: {} };

export const AVX512_VNNI: CostTable = {
  instructionSet: 'avx512-vnni',
  measured: 'Xeon with AVX-512 VNNI, onnxruntime 1.30.0, 2026-11-25',
  absolute: false,
  layers: {
    pointwise: { float: { macs: 0.0085 }, int8: {} },
    spatial: { float: { macs: 0.0085 }, int8: { copies: 5 } },
    grouped: { float: { macs: 0.0085 }, int8: {} },
    narrow: { float: { macs: 0.0085 }, int8: { copies: 8 } },
    depthwise: { float: {}, int8: { macs: 0.02 } },
    row: PRODUCT,
    rows: PRODUCT,
  },
  conversionNs: 0.5,
  poolNs: 15,
};
