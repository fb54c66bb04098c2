import { describe, expect, it } from 'vitest';
import {
  CODE,
  graphBytes,
  modelBytes,
  nodeBytes,
  tensorBytes,
  valueBytes,
} from '../../../../test/support/onnx-bytes.ts';
import { openRuntime } from '../../measure/session.ts';
import { hostNumbers, toHost } from '../../ir/tensor-data.ts';
import { validateModel } from '../../ir/validate.ts';
import { readOnnx } from './read.ts';
import { MessageWriter } from './wire.ts';
import { writeOnnx } from './write.ts';

const bytesOf = (array: Float32Array | BigInt64Array): Uint8Array => new Uint8Array(array.buffer);

/** y = x w with w [2, 3] stored as three values and their places. */
function sparseModel(
  indexDims: readonly number[],
  indices: readonly number[],
  dims: readonly number[] = [2, 3],
): Uint8Array {
  const values = tensorBytes('w', CODE.float32, [3], (w) => w.payload(9, bytesOf(Float32Array.of(1, -2, 3))));
  const places = tensorBytes('', CODE.int64, indexDims, (w) =>
    w.payload(9, bytesOf(BigInt64Array.from(indices.map(BigInt)))),
  );
  const graph = graphBytes({
    nodes: [nodeBytes({ opType: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] })],
    inputs: [valueBytes('x', ['n', 2])],
    outputs: [valueBytes('y', ['n', 3])],
  });
  return modelBytes(graph.message(15, new MessageWriter().message(1, values).message(2, places).ints(3, dims)));
}

describe('sparse initializers', () => {
  it.each([
    ['places in the flattened tensor', [3], [1, 3, 5]],
    ['coordinates', [3, 2], [0, 1, 1, 0, 1, 2]],
  ] as const)('by %s', async (_, indexDims, indices) => {
    const file = sparseModel(indexDims, indices);
    const model = readOnnx(file);
    validateModel(model);
    expect(hostNumbers(toHost(model.graph.initializers.get('w')!))).toEqual([0, 1, 0, -2, 0, 3]);
    expect(writeOnnx(model)).toEqual(file);
    // A graph that was changed is written with the dense tensor alone, and onnxruntime computes the same from both
    // files.
    const changed = writeOnnx({ ...model, graph: { ...model.graph, name: 'renamed' } });
    const [before, after] = await Promise.all(
      [file, changed].map(async (bytes) => {
        const runtime = await openRuntime(bytes);
        const y = [
          ...(
            await runtime.run(new Map([['x', { dtype: 'float32', shape: [1, 2], data: Float32Array.of(2, 5) }]]))
          ).get('y')!.data,
        ];
        await runtime.release();
        return y;
      }),
    );
    expect(after).toEqual([-10, 2, 15]);
    expect(before).toEqual(after);
  });

  it('that contradict themselves are refused with the reason', () => {
    expect(() => readOnnx(sparseModel([3], [1, 3, 6]))).toThrow(/sparse tensor "w": index 6 lies outside \[2, 3\]/);
    expect(() => readOnnx(sparseModel([2], [1, 3]))).toThrow(/sparse tensor "w": 3 values with indices int64 \[2\]/);
    expect(() => readOnnx(sparseModel([3], [1, 3, 5], [2 ** 40, 2 ** 10]))).toThrow(/would take \d+ bytes/);
  });
});
