/** Times of single layers in float and in integers, by onnxruntime's own profile. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import { elementCount } from '../src/compression/ir/tensor-data.ts';
import { inferShapes } from '../src/compression/graph/infer.ts';
import type { Model } from '../src/compression/ir/types.ts';
import { processor } from '../src/compression/measure/processor.ts';
import { prepare } from '../src/compression/techniques/quantize/prepare.ts';
import { tablesOf } from '../src/compression/techniques/quantize/static/costs/costs.ts';
import { layerOf, type LayerKind } from '../src/compression/techniques/quantize/static/costs/layer.ts';
import {
  floatLayer,
  integerLayer,
  type SingleLayer,
} from '../src/compression/techniques/quantize/static/costs/single-layer.ts';
import { predictedNs } from '../src/compression/techniques/quantize/static/costs/table.ts';
import { biasOf, planStatic } from '../src/compression/techniques/quantize/static/plan.ts';

/** Each in a session of its own: where a session's memory lies changes a layer's time, too. */
const ROUNDS = 4;
/** In each round. */
const RUNS = 40;
const WARM_UP_RUNS = 10;
const KERNELS = {
  float: ['Conv', 'FusedConv', 'MatMul', 'FusedMatMul', 'Gemm', 'FusedGemm'],
  int8: ['QLinearConv', 'QLinearMatMul', 'QGemm'],
} as const;
const INTEGER_OPSET = 13;

export interface LayerTimes {
  readonly float: number;
  readonly int8: number;
}

/** Nanoseconds of the layer's kernel alone. */
export async function timeLayer(layer: SingleLayer): Promise<LayerTimes> {
  const kernel = async (model: Model, names: readonly string[]): Promise<number> => {
    const times = await profileOperators(model);
    const found = names.map((name) => times.get(name)).find((ns) => ns !== undefined);
    if (found === undefined)
      throw new Error(
        `onnxruntime ran ${[...times.keys()].join(', ')} for ${layer.node.opType} of ${layer.weight.join('x')}`,
      );
    return found;
  };
  return {
    float: await kernel(floatLayer(layer), KERNELS.float),
    int8: await kernel(integerLayer(layer), KERNELS.int8),
  };
}

/** Nanoseconds of each operator that a run executes, one thread, undisturbed by the machine's other work. */
export async function profileOperators(model: Model): Promise<Map<string, number>> {
  const all = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++)
    for (const [operator, times] of await profileRound(model))
      all.set(operator, [...(all.get(operator) ?? []), ...times.slice(WARM_UP_RUNS)]);
  return new Map([...all].map(([operator, times]) => [operator, 1000 * undisturbed(times)]));
}

/** Microseconds of each operator in each run of one session. */
async function profileRound(model: Model): Promise<Map<string, number[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'lathe-profile-'));
  const session = await ort.InferenceSession.create(writeOnnx(model), {
    intraOpNumThreads: 1,
    enableProfiling: true,
    profileFilePrefix: join(folder, 'layer'),
    logSeverityLevel: 4,
  });
  const { name, type } = model.graph.inputs[0]!;
  for (let i = 0; i < RUNS + WARM_UP_RUNS; i++)
    await session.run({ [name]: filled(type!.dtype === 'uint8' ? 'uint8' : 'float32', type!.shape as number[]) });
  session.endProfiling();
  await session.release();
  const [file] = await readdir(folder);
  const events = JSON.parse(await readFile(join(folder, file!), 'utf8')) as {
    cat: string;
    dur: number;
    name: string;
    args?: { op_name?: string };
  }[];
  await rm(folder, { recursive: true });
  const times = new Map<string, number[]>();
  for (const event of events)
    if (event.cat === 'Node' && event.name.endsWith('_kernel_time'))
      times.set(event.args!.op_name!, [...(times.get(event.args!.op_name!) ?? []), event.dur]);
  return times;
}

function filled(dtype: 'uint8' | 'float32', shape: readonly number[]): ort.Tensor {
  const codes = Uint8Array.from({ length: elementCount(shape) }, (_, i) => (i * 31) % 251);
  return dtype === 'uint8'
    ? new ort.Tensor(dtype, codes, shape)
    : new ort.Tensor(
        dtype,
        Float32Array.from(codes, (code) => code / 50),
        shape,
      );
}

/**
 * Mean of the times from the 5th to the 35th of a hundred: other work only ever adds time, and a mean is finer than the
 * profile's whole microseconds.
 */
function undisturbed(values: readonly number[]): number {
  const quickest = [...values]
    .sort((a, b) => a - b)
    .slice(Math.floor(values.length * 0.05), Math.ceil(values.length * 0.35));
  return quickest.reduce((sum, value) => sum + value, 0) / quickest.length;
}

export interface MeasuredLayer {
  readonly kind: LayerKind;
  readonly operator: string;
  readonly weight: readonly number[];
  readonly input: readonly number[];
  readonly float: { readonly us: number; readonly predictedUs: number };
  readonly int8: { readonly us: number; readonly predictedUs: number };
}

/**
 * Each different layer of a model that can compute in integers, timed, beside what this machine's table predicts; none
 * where it has no table.
 */
export async function measureLayers(uploaded: Model, sample: readonly number[]): Promise<MeasuredLayer[]> {
  const [table] = tablesOf('this-machine', processor().instructionSets);
  if (!table?.absolute) return [];
  const prepared = prepare(uploaded, INTEGER_OPSET);
  const model: Model = {
    ...prepared,
    graph: {
      ...prepared.graph,
      valueInfos: [],
      inputs: prepared.graph.inputs.map((input) => ({ ...input, type: { dtype: 'float32', shape: [1, ...sample] } })),
    },
  };
  const types = inferShapes(model);
  const shapeOf = (name: string) => types.typeOf(name)?.shape as readonly number[];
  const layers = new Map<string, MeasuredLayer>();
  for (const { node, kernel } of planStatic(model.graph, () => true).nodes.values()) {
    if (kernel === null) continue;
    const [input, weight] = [shapeOf(node.inputs[0]!), model.graph.initializers.get(node.inputs[kernel]!)!.dims];
    const key = JSON.stringify([node.opType, input, weight, [...node.attributes]]);
    if (layers.has(key)) continue;
    const layer = layerOf(node, weight, elementCount(input), elementCount(shapeOf(node.outputs[0]!)));
    const times = await timeLayer({ node, input, weight, bias: biasOf(node, model.graph)?.length ?? null });
    const beside = (precision: 'float' | 'int8') => ({
      us: round(times[precision] / 1000),
      predictedUs: round(predictedNs(table, layer, precision) / 1000),
    });
    layers.set(key, {
      kind: layer.kind,
      operator: node.opType,
      weight,
      input,
      float: beside('float'),
      int8: beside('int8'),
    });
  }
  return [...layers.values()];
}

const round = (us: number) => Number(us.toPrecision(3));
