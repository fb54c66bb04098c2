/** The processor that measures: its name, its instruction sets, and whether onnxruntime's 8-bit products saturate on it. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../graph/edit.ts';
import { fromHost, hostOf } from '../graph/tensor-data.ts';
import type { DataType, Model, ValueInfo } from '../graph/types.ts';
import { withRuntime } from './session.ts';

export interface Processor {
  /** As the operating system calls it. */
  readonly name: string;
  /** What decides on kernels of neural networks, the newest last: avx2, avx512, avx512-vnni, avx-vnni, amx-int8; neon, dotprod, i8mm. */
  readonly instructionSets: readonly string[];
}

/** Flags of /proc/cpuinfo, in the order in which they are told. */
const FLAGS: readonly (readonly [flag: string, name: string])[] = [
  ['avx2', 'avx2'], ['avx512bw', 'avx512'], ['avx512_vnni', 'avx512-vnni'], ['avx_vnni', 'avx-vnni'], ['amx_int8', 'amx-int8'],
  ['asimd', 'neon'], ['asimddp', 'dotprod'], ['i8mm', 'i8mm'],
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

/** As Linux lists them; empty elsewhere. */
function cpuFlags(): Set<string> {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return new Set(line?.[1]?.trim().split(/\s+/));
  } catch {
    return new Set();
  }
}

let probed: Promise<boolean> | null = null;

/** Whether onnxruntime saturates sums of two products of uint8 and int8 here (graph/saturation.ts): asked of onnxruntime itself, once. */
export function productsSaturate(): Promise<boolean> {
  probed ??= probe();
  return probed;
}

const TERMS = 64;

/** Every product is 255 * 127: their sum is exact, or each pair of them is 32,767 instead of 64,770. */
async function probe(): Promise<boolean> {
  const tensor = (name: string, dtype: DataType, dims: readonly number[], value: number) => fromHost(name, hostOf(dtype, dims, new Array<number>(dims.reduce((a, b) => a * b, 1)).fill(value)));
  const value = (name: string, dtype: DataType, shape: readonly number[]): ValueInfo => ({ name, type: { dtype, shape } });
  const weight = tensor('w', 'int8', [TERMS, TERMS], 127);
  const model: Model = {
    irVersion: 8, opsets: new Map([['', 13]]), functions: [], metadata: new Map(),
    graph: {
      name: 'probe', nodes: [makeNode('MatMulInteger', ['x', 'w'], ['y'])], initializers: new Map([['w', weight]]),
      inputs: [value('x', 'uint8', [TERMS, TERMS])], outputs: [value('y', 'int32', [TERMS, TERMS])], valueInfos: [],
    },
  };
  const x = { dtype: 'uint8' as const, shape: [TERMS, TERMS], data: new Uint8Array(TERMS * TERMS).fill(255) };
  return withRuntime(writeOnnx(model), async (runtime) => {
    const y = (await runtime.run(new Map([['x', x]]))).get('y')!;
    return y.data[0] !== TERMS * 255 * 127;
  });
}
