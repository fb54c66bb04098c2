/** Small models for tests of the graph, and their outputs in ONNX Runtime. */
import * as ort from 'onnxruntime-node';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { fromHost, hostOf } from '../../src/compression/ir/tensor-data.ts';
import type {
  DataType,
  Dim,
  FunctionDefinition,
  Model,
  Node,
  Tensor,
  ValueInfo,
} from '../../src/compression/ir/types.ts';

export function value(name: string, shape: readonly Dim[] | null, dtype: DataType = 'float32'): ValueInfo {
  return { name, type: { dtype, shape } };
}

export function tensor(
  name: string,
  dims: readonly number[],
  values: ArrayLike<number>,
  dtype: DataType = 'float32',
): Tensor {
  return fromHost(name, hostOf(dtype, dims, values));
}

/** Values spread over (-1, 1), the same for the same seed. */
export function spread(length: number, seed = 1): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * 12.9898 * seed) * Math.cos(i * 0.37 + seed));
}

export interface ModelParts {
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Tensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly valueInfos?: readonly ValueInfo[];
  readonly functions?: readonly FunctionDefinition[];
  readonly opset?: number;
  readonly domains?: Readonly<Record<string, number>>;
}

export function modelOf({
  nodes,
  initializers = [],
  inputs,
  outputs,
  valueInfos = [],
  functions = [],
  opset = 17,
  domains = {},
}: ModelParts): Model {
  return {
    irVersion: 8,
    opsets: new Map([['', opset], ...Object.entries(domains)]),
    functions,
    metadata: new Map(),
    graph: {
      name: 'test',
      nodes,
      initializers: new Map(initializers.map((item) => [item.name, item])),
      inputs,
      outputs,
      valueInfos,
    },
  };
}

/** Runs a model in ONNX Runtime with its own optimizations off, so that nothing is folded before it is compared. */
export async function runInOnnxRuntime(
  model: Model,
  feeds: Readonly<Record<string, ort.Tensor>>,
): Promise<Map<string, { dims: readonly number[]; data: ArrayLike<number | bigint> }>> {
  const session = await ort.InferenceSession.create(writeOnnx(model), {
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
  });
  const results = await session.run(feeds);
  const outputs = new Map(
    session.outputNames.map((name) => [
      name,
      { dims: results[name]!.dims, data: results[name]!.data as ArrayLike<number | bigint> },
    ]),
  );
  await session.release();
  return outputs;
}

export function floats(
  dims: readonly number[],
  values: ArrayLike<number> = spread(dims.reduce((a, b) => a * b, 1)),
): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(values), [...dims]);
}
