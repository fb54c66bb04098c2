/** The instruction sets of this processor among those that the engine has kernels for. */
import { cpuFlags } from '../src/compression/measure/processor.ts';
import type { KernelSet } from '../src/compression/tensor/native/binding.ts';

/** Names of each set's instructions in /proc/cpuinfo; the fastest set first. */
const FLAGS: Readonly<Record<KernelSet, readonly string[]>> = {
  avx512: ['avx512f', 'avx512vl', 'avx512dq', 'avx512bw'],
  avx2: ['avx2', 'fma'],
  plain: [],
  neon: [],
};

export function hasInstructions(set: KernelSet): boolean {
  if ((process.arch === 'arm64') !== (set === 'neon')) return false;
  const flags = cpuFlags();
  return FLAGS[set].every((flag) => flags.has(flag));
}

/** The instruction set that the engine's kernels use: LATHE_KERNELS, else the best. */
export function instructionSet(): KernelSet {
  return (
    (process.env['LATHE_KERNELS'] as KernelSet | undefined) ??
    (Object.keys(FLAGS) as KernelSet[]).find(hasInstructions)!
  );
}
