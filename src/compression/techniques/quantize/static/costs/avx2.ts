/** Written by `npm run bench -- int8-costs --write`. */
import type { CostTable } from './table.ts';

export const AVX2: CostTable = {
  instructionSet: 'avx2',
  measured: 'AMD EPYC, onnxruntime 1.30.0, 2026-11-30',
  absolute: true,
  layers: {
    pointwise: {
      float: {
        calls: 9510,
        macs: 0.0106,
        paddedMacs: 0.00943,
        unblockedMacs: 0.00461,
        inputs: 0.246,
        outputs: 0.135,
        weights: 0.259
      },
      int8: {
        calls: 1350,
        paddedMacs: 0.00915,
        unblockedMacs: 0.0282,
        inputs: 0.264,
        outputs: 0.296,
        weights: 0.157
      }
    },
    spatial: {
      float: {
        macs: 0.0168,
        paddedMacs: 0.00711,
        unblockedMacs: 0.00712,
        copies: 7.15,
        inputs: 0.236,
        weights: 0.201
      },
      int8: {
        calls: 7650,
        macs: 0.000221,
        paddedMacs: 0.0125,
        unblockedMacs: 0.00358,
        copies: 6.67,
        outputs: 0.409,
        weights: 0.0149
      }
    },
    grouped: {
      float: {
        calls: 11900,
        macs: 0.0116,
        unblockedMacs: 0.0473,
        patches: 0.285,
        copies: 0.366,
        inputs: 0.685
      },
      int8: {
        paddedMacs: 0.00534,
        unblockedMacs: 0.0185,
        patches: 0.259,
        copies: 20.7,
        inputs: 0.000131
      }
    },
    narrow: {
      float: {
        calls: 5590,
        paddedMacs: 0.0238,
        patches: 0.236,
        copies: 1.17,
        inputs: 0.838,
        outputs: 0.146,
        weights: 7.01
      },
      int8: {
        calls: 11500,
        paddedMacs: 0.0104,
        copies: 13,
        inputs: 2.08,
        weights: 4.23
      }
    },
    depthwise: {
      float: {
        calls: 8450,
        macs: 0.00463,
        paddedMacs: 3.86e-18,
        unblockedMacs: 2.48e-17,
        patches: 5.5e-17,
        copies: 0.142,
        inputs: 0.16,
        outputs: 0.146,
        weights: 5.06
      },
      int8: {
        calls: 36000,
        macs: 0.0669,
        paddedMacs: 4.04e-17,
        inputs: 0.112,
        weights: 2.16
      }
    },
    row: {
      float: {
        calls: 4780,
        paddedMacs: 0.118,
        inputs: 7.53
      },
      int8: {
        calls: 7550,
        paddedMacs: 0.0157,
        inputs: 5.89,
        outputs: 8.41
      }
    },
    rows: {
      float: {
        calls: 6920,
        macs: 0.0276,
        paddedMacs: 1.88e-16,
        inputs: 2.2,
        outputs: 0.55,
        weights: 0.183
      },
      int8: {
        calls: 11400,
        macs: 0.0114,
        inputs: 0.576,
        outputs: 0.926,
        weights: 0.0356
      }
    }
  },
  conversionNs: 0.85,
  poolNs: 19
};
