import { describeOptimizerKernels } from '../../../test/support/optimizer-kernels.ts';

describeOptimizerKernels('tensorflow');
