/** Written by `npm run bench -- int8-costs --write`. */
import type { CostTable } from './table.ts';

export const AVX2: CostTable = {
  instructionSet: 'avx2',
  measured: 'AMD EPYC, onnxruntime 1.30.0, 2026-11-30',
  absolute: true,
  layers: {
    pointwise: {
      float: {
        calls: 2600,
        macs: 0.021,
        unblockedMacs: 0.0149,
        inputs: 0.0184,
        outputs: 0.0854,
        weights: 0.093
      },
      int8: {
        calls: 4190,
        macs: 0.00482,
        paddedMacs: 0.00574,
        unblockedMacs: 0.0262,
        inputs: 0.0523,
        outputs: 0.179,
        weights: 0.048
      }
    },
    spatial: {
      float: {
        calls: 6690,
        macs: 0.0197,
        paddedMacs: 0.00157,
        unblockedMacs: 0.00946,
        copies: 5.46,
        weights: 0.13
      },
      int8: {
        calls: 10800,
        paddedMacs: 0.012,
        unblockedMacs: 0.00533,
        copies: 10.6,
        weights: 0.0301
      }
    },
    grouped: {
      float: {
        macs: 0.008,
        unblockedMacs: 0.0342,
        patches: 0.246,
        copies: 2.63,
        inputs: 0.499,
        weights: 0.791
      },
      int8: {
        macs: 0.0117,
        unblockedMacs: 0.00325,
        copies: 30.3,
        weights: 0.213
      }
    },
    narrow: {
      float: {
        calls: 8900,
        macs: 0.00143,
        paddedMacs: 0.0203,
        unblockedMacs: 7.94e-18,
        patches: 0.339,
        inputs: 0.0831,
        outputs: 0.0526,
        weights: 2.02
      },
      int8: {
        calls: 15200,
        paddedMacs: 0.0115,
        copies: 14.1,
        outputs: 0.367
      }
    },
    depthwise: {
      float: {
        calls: 7760,
        macs: 0.0521,
        paddedMacs: 1.08e-16,
        copies: 0.0368,
        inputs: 0.0116,
        outputs: 0.0593,
        weights: 2.54
      },
      int8: {
        calls: 19500,
        macs: 0.0788,
        paddedMacs: 3.81e-16,
        patches: 3.72e-17,
        copies: 0.052,
        inputs: 0.000278,
        outputs: 0.111
      }
    },
    row: {
      float: {
        calls: 5550,
        paddedMacs: 0.0895,
        inputs: 0.766
      },
      int8: {
        calls: 9210,
        paddedMacs: 0.0212,
        inputs: 0.751
      }
    },
    rows: {
      float: {
        calls: 6090,
        macs: 0.0214,
        paddedMacs: 3.41e-17,
        weights: 0.0696
      },
      int8: {
        calls: 9490,
        macs: 0.0129,
        weights: 0.02
      }
    }
  },
  conversionNs: 0.57,
  poolNs: 13
};
