/** Whether onnxruntime's 8-bit products saturate on this processor. */
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import { fromHost, hostOf } from '../ir/tensor-data.ts';
import type { DataType, Model, ValueInfo } from '../ir/types.ts';
import { withRuntime } from './session.ts';

let probed: Promise<boolean> | null = null;

/**
 * Whether onnxruntime saturates sums of two products of uint8 and int8 here (graph/saturation.ts). Runs a small model
 * to find out, once.
 */
export function productsSaturate(): Promise<boolean> {
  probed ??= probe();
  return probed;
}

const TERMS = 64;

/** Every product is 255 * 127: their sum is exact, or each pair of them is 32,767 instead of 64,770. */
async function probe(): Promise<boolean> {
  const tensor = (name: string, dtype: DataType, dims: readonly number[], value: number) =>
    fromHost(name, hostOf(dtype, dims, new Array<number>(dims.reduce((a, b) => a * b, 1)).fill(value)));
  const value = (name: string, dtype: DataType, shape: readonly number[]): ValueInfo => ({
    name,
    type: { dtype, shape },
  });
  const weight = tensor('w', 'int8', [TERMS, TERMS], 127);
  const model: Model = {
    irVersion: 8,
    opsets: new Map([['', 13]]),
    functions: [],
    metadata: new Map(),
    graph: {
      name: 'probe',
      nodes: [makeNode('MatMulInteger', ['x', 'w'], ['y'])],
      initializers: new Map([['w', weight]]),
      inputs: [value('x', 'uint8', [TERMS, TERMS])],
      outputs: [value('y', 'int32', [TERMS, TERMS])],
      valueInfos: [],
    },
  };
  const x = { dtype: 'uint8' as const, shape: [TERMS, TERMS], data: new Uint8Array(TERMS * TERMS).fill(255) };
  return withRuntime(writeOnnx(model), async (runtime) => {
    const outputs = await runtime.run(new Map([['x', x]]));
    return outputs.get('y')?.data[0] !== TERMS * 255 * 127;
  });
}
