/** The primitives on the kernels of the architecture's base instruction set, which every processor has. */
import { describeOptimizerKernels } from '../../../test/support/optimizer-kernels.ts';
import { describePrimitives } from '../../../test/support/primitives.ts';

process.env['LATHE_KERNELS'] = process.arch === 'arm64' ? 'neon' : 'plain';
describePrimitives('tensorflow');
describeOptimizerKernels('tensorflow');
