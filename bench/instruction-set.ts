/** Which of the instruction sets that the engine has kernels for this processor has. */
import { cpuFlags } from '../src/compression/measure/processor.ts';
import type { KernelSet } from '../src/compression/tensor/native/binding.ts';

/** What /proc/cpuinfo calls the instructions of a set; the fastest set first. */
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

/** What the engine's kernels use here: LATHE_KERNELS, else the best. */
export function instructionSet(): KernelSet {
  return (
    (process.env['LATHE_KERNELS'] as KernelSet | undefined) ??
    (Object.keys(FLAGS) as KernelSet[]).find(hasInstructions)!
  );
}
