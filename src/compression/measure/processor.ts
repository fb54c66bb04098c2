/** Name and instruction sets of the processor that measures. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

export interface Processor {
  /** Model name from the operating system. */
  readonly name: string;
  /**
   * What decides on kernels of neural networks, the newest last: avx2, avx512, avx512-vnni, avx-vnni, amx-int8; neon,
   * dotprod, i8mm.
   */
  readonly instructionSets: readonly string[];
}

/** Flags of /proc/cpuinfo, in the order of the report. */
const FLAGS: readonly (readonly [flag: string, name: string])[] = [
  ['avx2', 'avx2'],
  ['avx512bw', 'avx512'],
  ['avx512_vnni', 'avx512-vnni'],
  ['avx_vnni', 'avx-vnni'],
  ['amx_int8', 'amx-int8'],
  ['asimd', 'neon'],
  ['asimddp', 'dotprod'],
  ['i8mm', 'i8mm'],
];

let known: Processor | null = null;

export function processor(): Processor {
  known ??= { name: cpus()[0]?.model.trim() || process.arch, instructionSets: instructionSets(cpuFlags()) };
  return known;
}

/** Names of the instruction sets among a processor's flags; where none is known, the architecture's name. */
export function instructionSets(flags: ReadonlySet<string>): string[] {
  const found = FLAGS.filter(([flag]) => flags.has(flag)).map(([, name]) => name);
  return found.length > 0 ? found : [process.arch];
}

/** The processor's flags as Linux lists them; empty elsewhere. */
export function cpuFlags(): Set<string> {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return new Set(line?.[1]?.trim().split(/\s+/));
  } catch {
    return new Set();
  }
}
