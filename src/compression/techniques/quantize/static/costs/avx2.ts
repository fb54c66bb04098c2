/** Written by `npm run bench -- int8-costs --write`. */
import type { CostTable } from './table.ts';

export const AVX2: CostTable = {
  instructionSet: 'avx2',
  measured: 'AMD EPYC, onnxruntime 1.30.0, 2026-11-30',
  absolute: true,
  layers: {
    pointwise: {
      float: {
        calls: 3320,
        macs: 0.0239,
        unblockedMacs: 0.0155,
        copies: 1.07,
        inputs: 0.389,
        outputs: 0.141,
        weights: 0.202
      },
      int8: {
        calls: 5900,
        paddedMacs: 0.0108,
        unblockedMacs: 0.0184,
        inputs: 0.254,
        outputs: 0.337
      }
    },
    spatial: {
      float: {
        calls: 6650,
        macs: 0.0202,
        paddedMacs: 0.000899,
        unblockedMacs: 0.00587,
        patches: 0.00686,
        copies: 3.97,
        inputs: 0.67,
        weights: 0.383
      },
      int8: {
        calls: 14400,
        paddedMacs: 0.0117,
        copies: 2.04,
        inputs: 0.399,
        outputs: 0.00385,
        weights: 0.0768
      }
    },
    grouped: {
      float: {
        macs: 0.0214,
        unblockedMacs: 0.0425,
        patches: 0.14,
        copies: 3.77,
        inputs: 0.153,
        weights: 0.552
      },
      int8: {
        patches: 0.211,
        copies: 21.5,
        inputs: 2.24e-15,
        weights: 1.97
      }
    },
    narrow: {
      float: {
        calls: 10100,
        macs: 0.0121,
        paddedMacs: 0.0164,
        copies: 0.459,
        inputs: 1.43
      },
      int8: {
        calls: 9950,
        paddedMacs: 0.0165,
        copies: 7.17,
        inputs: 0.862,
        outputs: 0.358,
        weights: 1.77
      }
    },
    depthwise: {
      float: {
        calls: 16600,
        macs: 0.0569,
        inputs: 0.172,
        weights: 1.59
      },
      int8: {
        calls: 18000,
        macs: 0.103,
        paddedMacs: 7.29e-17,
        unblockedMacs: 7.53e-19,
        patches: 7.53e-19,
        inputs: 0.106
      }
    },
    row: {
      float: {
        calls: 6280,
        paddedMacs: 0.113
      },
      int8: {
        calls: 8590,
        paddedMacs: 0.0237,
        inputs: 0.999,
        outputs: 0.903
      }
    },
    rows: {
      float: {
        calls: 10100,
        macs: 0.0264,
        paddedMacs: 1.35e-15,
        inputs: 0.395,
        outputs: 0.118,
        weights: 0.227
      },
      int8: {
        calls: 14000,
        macs: 0.0119,
        paddedMacs: 2.88e-17,
        inputs: 0.31,
        outputs: 0.644,
        weights: 0.0692
      }
    }
  },
  conversionNs: 0.95,
  poolNs: 7.4
};
