import { describeKernelSet } from '../../../../test/support/kernel-sets.ts';

describeKernelSet('plain');
