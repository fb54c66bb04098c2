/** Costs of layers in float and in int8 on this processor: writes the table that quantize's `where: "faster"` goes by */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import { makeNode } from '../src/compression/graph/edit.ts';
import { elementCount, fromHost, hostOf } from '../src/compression/graph/tensor-data.ts';
import type { DataType, Model, Node, Tensor } from '../src/compression/graph/types.ts';
import { processor } from '../src/compression/measure/processor.ts';
import { RUNTIME } from '../src/compression/measure/session.ts';
import { COUNTS, LAYER_KINDS, layerOf, type Layer, type LayerCounts, type LayerKind } from '../src/compression/techniques/quantize/static/costs/layer.ts';
import { predictedNs, type CostTable, type UnitCosts } from '../src/compression/techniques/quantize/static/costs/table.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';

const RUNS = 40;

interface Shape {
  readonly operator: 'Conv' | 'MatMul';
  /** One sample. */
  readonly input: readonly number[];
  readonly weight: readonly number[];
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}

const conv = (channels: number, outputs: number, size: number, kernel: number, stride = 1, group = 1): Shape => ({
  operator: 'Conv', input: [channels, size, size], weight: [outputs, channels / group, kernel, kernel],
  attributes: { pads: [kernel >> 1, kernel >> 1, kernel >> 1, kernel >> 1], strides: [stride, stride], group },
});
const matmul = (rows: number, k: number, n: number): Shape => ({ operator: 'MatMul', input: rows > 1 ? [rows, k] : [k], weight: [k, n], attributes: {} });

/** Layers as networks of 1 to 200 MMACs have them. */
const SHAPES: readonly Shape[] = [
  ...[[16, 96, 56], [24, 144, 28], [32, 64, 28], [64, 64, 28], [64, 128, 14], [96, 24, 28], [128, 128, 28], [144, 32, 14], [192, 64, 14], [256, 256, 14], [320, 1280, 7], [512, 128, 7], [576, 96, 14], [64, 256, 56], [48, 33, 20]].map(([i, o, s]) => conv(i!, o!, s!, 1)),
  ...[[8, 8, 28, 3], [16, 16, 32, 3], [16, 32, 28, 3], [32, 32, 28, 3], [32, 64, 14, 3], [64, 64, 28, 3], [64, 64, 56, 3], [128, 128, 14, 3], [128, 128, 7, 3], [256, 256, 14, 3], [256, 256, 7, 3], [512, 512, 7, 3], [24, 32, 28, 3], [48, 64, 20, 3], [96, 96, 12, 3], [16, 64, 28, 3], [64, 24, 24, 5], [32, 32, 10, 3], [6, 16, 14, 5], [12, 24, 12, 5], [32, 48, 20, 5], [20, 50, 12, 5]].map(([i, o, s, k]) => conv(i!, o!, s!, k!)),
  ...[[64, 128, 28], [32, 64, 56], [128, 256, 14], [256, 512, 14], [24, 48, 32]].map(([i, o, s]) => conv(i!, o!, s!, 3, 2)),
  ...[[64, 64, 28, 4], [128, 128, 28, 32], [96, 96, 14, 6], [32, 32, 28, 2], [128, 256, 14, 8], [256, 256, 7, 32], [48, 96, 20, 4], [64, 64, 14, 8]].map(([i, o, s, g]) => conv(i!, o!, s!, 3, 1, g!)),
  ...[[1, 32, 28, 3, 1], [1, 16, 28, 5, 1], [1, 6, 32, 5, 1], [3, 16, 32, 3, 1], [3, 32, 64, 3, 1], [3, 32, 112, 3, 2], [3, 64, 64, 7, 2], [3, 64, 112, 7, 2], [3, 24, 96, 3, 2], [2, 20, 48, 3, 1], [1, 32, 40, 3, 1], [3, 16, 48, 5, 1], [3, 48, 40, 3, 1], [1, 8, 64, 3, 2]].map(([i, o, s, k, t]) => conv(i!, o!, s!, k!, t!)),
  ...[[32, 56, 3, 1], [64, 28, 3, 1], [96, 56, 3, 2], [144, 28, 3, 1], [144, 28, 5, 2], [192, 14, 3, 1], [384, 14, 3, 1], [576, 7, 3, 1], [32, 112, 3, 1], [24, 20, 5, 1], [16, 40, 3, 1], [240, 14, 5, 1], [48, 32, 5, 2], [768, 10, 3, 1], [64, 56, 3, 2]].map(([c, s, k, t]) => conv(c!, c!, s!, k!, t!, c!)),
  ...[[784, 300], [300, 100], [1152, 256], [512, 10], [2048, 1000], [256, 256], [1280, 1000], [4096, 512], [128, 64], [768, 3072], [100, 10], [400, 120], [3136, 128], [576, 576], [64, 1024]].map(([k, n]) => matmul(1, k!, n!)),
  ...[[128, 128, 128], [128, 128, 512], [64, 256, 256], [16, 256, 64], [197, 192, 576], [32, 768, 768], [12, 32, 128], [128, 512, 128], [50, 384, 1536], [8, 1024, 256]].map(([m, k, n]) => matmul(m!, k!, n!)),
];

const constant = (name: string, dtype: DataType, dims: readonly number[], values: ArrayLike<number>) => fromHost(name, hostOf(dtype, dims, values));
const codesOf = (length: number) => Int8Array.from({ length }, (_, i) => ((i * 37) % 129) - 64);

function modelOf(input: readonly number[], nodes: readonly Node[], tensors: readonly Tensor[], dtype: DataType): Model {
  const graph = { name: 'layer', nodes, initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])), inputs: [{ name: 'x', type: { dtype, shape: [1, ...input] } }], outputs: [{ name: 'y', type: { dtype, shape: null } }], valueInfos: [] };
  return { irVersion: 8, opsets: new Map([['', 13]]), functions: [], metadata: new Map(), graph };
}

function floatModel({ operator, input, weight, attributes }: Shape): Model {
  const values = Float32Array.from(codesOf(elementCount(weight)), (code) => code / 64);
  const bias = operator === 'Conv' ? [constant('b', 'float32', [weight[0]!], new Float32Array(weight[0]!))] : [];
  return modelOf(input, [makeNode(operator, ['x', 'w', ...bias.map(({ name }) => name)], ['h'], attributes), makeNode('Relu', ['h'], ['y'])], [constant('w', 'float32', weight, values), ...bias], 'float32');
}

function integerModel({ operator, input, weight, attributes }: Shape): Model {
  const bias = operator === 'Conv' ? [constant('b', 'int32', [weight[0]!], new Int32Array(weight[0]!)), constant('bs', 'float32', [], [2e-4])] : [];
  const nodes = [
    makeNode('DequantizeLinear', ['x', 's', 'z'], ['xd']), makeNode('DequantizeLinear', ['w', 'ws'], ['wd']), ...(bias.length > 0 ? [makeNode('DequantizeLinear', ['b', 'bs'], ['bd'])] : []),
    makeNode(operator, ['xd', 'wd', ...(bias.length > 0 ? ['bd'] : [])], ['h'], attributes), makeNode('QuantizeLinear', ['h', 's', 'z'], ['y']),
  ];
  const tensors = [constant('w', 'int8', weight, codesOf(elementCount(weight))), constant('s', 'float32', [], [0.02]), constant('z', 'uint8', [], [3]), constant('ws', 'float32', [], [0.01]), ...bias];
  return modelOf(input, nodes, tensors, 'uint8');
}

/** Nanoseconds of each operator of a run, by the runtime's own profile: the median of `RUNS`. */
async function profile(model: Model, folder: string): Promise<Map<string, number>> {
  const session = await ort.InferenceSession.create(writeOnnx(model), { intraOpNumThreads: 1, enableProfiling: true, profileFilePrefix: join(folder, 'layer'), logSeverityLevel: 4 });
  const { dtype, shape } = model.graph.inputs[0]!.type!;
  const count = elementCount(shape as number[]);
  const x = dtype === 'uint8' ? new ort.Tensor('uint8', Uint8Array.from({ length: count }, (_, i) => (i * 31) % 251), shape as number[]) : new ort.Tensor('float32', Float32Array.from({ length: count }, (_, i) => ((i * 31) % 251) / 50), shape as number[]);
  for (let i = 0; i < RUNS + 5; i++) await session.run({ x });
  session.endProfiling();
  await session.release();
  const [file] = await readdir(folder);
  const events = JSON.parse(await readFile(join(folder, file!), 'utf8')) as { cat: string; dur: number; name: string; args?: { op_name?: string } }[];
  await rm(join(folder, file!));
  const times = new Map<string, number[]>();
  for (const { cat, dur, name, args } of events) if (cat === 'Node' && name.endsWith('_kernel_time')) times.set(args!.op_name!, [...(times.get(args!.op_name!) ?? []), dur]);
  return new Map([...times].map(([name, list]) => [name, 1000 * centre(list.slice(5))]));
}

/** Mean of the middle half: finer than the profile's whole microseconds. */
function centre(values: readonly number[]): number {
  const middle = [...values].sort((a, b) => a - b).slice(Math.floor(values.length / 4), Math.ceil((3 * values.length) / 4));
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

const FLOAT_KERNELS = ['Conv', 'FusedConv', 'MatMul', 'FusedMatMul', 'Gemm'];
const INTEGER_KERNELS = ['QLinearConv', 'QLinearMatMul'];

interface Measured {
  readonly shape: Shape;
  readonly layer: Layer;
  readonly ns: { readonly float: number; readonly int8: number };
}

async function measure(shape: Shape, folder: string): Promise<Measured> {
  const { operator, input, weight, attributes } = shape;
  const kernel = (times: ReadonlyMap<string, number>, names: readonly string[]) => {
    const found = names.map((name) => times.get(name)).find((ns) => ns !== undefined);
    if (found === undefined) throw new Error(`onnxruntime ran ${[...times.keys()].join(', ')} for ${operator} ${weight.join('x')}`);
    return found;
  };
  const ns = { float: kernel(await profile(floatModel(shape), folder), FLOAT_KERNELS), int8: kernel(await profile(integerModel(shape), folder), INTEGER_KERNELS) };
  const strides = (attributes['strides'] as readonly number[] | undefined) ?? [1];
  const outputs = operator === 'Conv' ? weight[0]! * Math.ceil(input[1]! / strides[0]!) ** 2 : (elementCount(input) / weight[0]!) * weight[1]!;
  return { shape, layer: layerOf(makeNode(operator, ['x', 'w'], ['y'], attributes), weight, elementCount(input), outputs), ns };
}

/** Costs without negative ones that predict the times with the least squared relative error, by coordinate descent. */
function fit(samples: readonly { readonly counts: LayerCounts; readonly ns: number }[]): UnitCosts {
  const rows = samples.map(({ counts, ns }) => COUNTS.map((count) => counts[count] / ns));
  const scales = COUNTS.map((_, j) => Math.max(...rows.map((row) => row[j]!)) || 1);
  const scaled = rows.map((row) => row.map((value, j) => value / scales[j]!));
  const x = COUNTS.map(() => 0);
  for (let round = 0; round < 20_000; round++) {
    for (let j = 0; j < x.length; j++) {
      const squares = scaled.reduce((sum, row) => sum + row[j]! ** 2, 0);
      if (squares === 0) continue;
      const residual = scaled.reduce((sum, row) => sum + row[j]! * (1 - row.reduce((value, entry, i) => value + (i === j ? 0 : entry * x[i]!), 0)), 0);
      x[j] = Math.max(0, residual / squares);
    }
  }
  return Object.fromEntries(COUNTS.flatMap((count, j) => (x[j]! > 0 ? [[count, Number((x[j]! / scales[j]!).toPrecision(3))]] : [])));
}

/** What QuantizeLinear, DequantizeLinear and the changes of layout take for each element round an integer convolution; what its pooling takes. */
async function measureConversions(folder: string): Promise<Pick<CostTable, 'conversionNs' | 'poolNs'>> {
  const [channels, size] = [64, 28];
  const elements = channels * size * size;
  const tensors = [constant('w', 'int8', [channels, channels, 1, 1], codesOf(channels * channels)), constant('s', 'float32', [], [0.02]), constant('z', 'uint8', [], [3]), constant('ws', 'float32', [], [0.01])];
  const around = [
    makeNode('Sigmoid', ['x'], ['a']), makeNode('QuantizeLinear', ['a', 's', 'z'], ['q']), makeNode('DequantizeLinear', ['q', 's', 'z'], ['d']), makeNode('DequantizeLinear', ['w', 'ws'], ['wd']),
    makeNode('Conv', ['d', 'wd'], ['h']), makeNode('QuantizeLinear', ['h', 's', 'z'], ['hq']), makeNode('DequantizeLinear', ['hq', 's', 'z'], ['hd']), makeNode('Sigmoid', ['hd'], ['y']),
  ];
  const times = await profile(modelOf([channels, size, size], around, tensors, 'float32'), folder);
  const converted = ['QuantizeLinear', 'DequantizeLinear', 'Transpose'].reduce((sum, name) => sum + (times.get(name) ?? 0) * (name === 'Transpose' ? 2 : 1), 0);
  const pool = (dtype: DataType) => profile(modelOf([channels, size, size], [makeNode('MaxPool', ['x'], ['y'], { kernel_shape: [2, 2], strides: [2, 2] })], [], dtype), folder);
  const [integers, floats] = [(await pool('uint8')).get('MaxPool') ?? 0, (await pool('float32')).get('MaxPool') ?? 0];
  return { conversionNs: Number((converted / (2 * elements)).toPrecision(2)), poolNs: Number((Math.max(0, integers - floats) / (elements / 4)).toPrecision(2)) };
}

export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lathe-costs-'));
  const measured: Measured[] = [];
  for (const shape of SHAPES) measured.push(await measure(shape, folder));
  const conversions = await measureConversions(folder);
  await rm(folder, { recursive: true });
  const ofKind = (kind: LayerKind, precision: 'float' | 'int8') => fit(measured.filter(({ layer }) => layer.kind === kind).map(({ layer: { counts }, ns }) => ({ counts, ns: ns[precision] })));
  const { name, instructionSets } = processor();
  const table: CostTable = {
    instructionSet: instructionSets.at(-1)!, measured: `${name}, ${RUNTIME}, ${new Date().toISOString().slice(0, 10)}`, absolute: true,
    layers: Object.fromEntries(LAYER_KINDS.map((kind) => [kind, { float: ofKind(kind, 'float'), int8: ofKind(kind, 'int8') }])) as CostTable['layers'], ...conversions,
  };
  let within = 0;
  for (const { shape, layer, ns } of measured) {
    const ratios = (['float', 'int8'] as const).map((precision) => predictedNs(table, layer, precision) / ns[precision]);
    within += ratios.filter((ratio) => Math.abs(ratio - 1) <= 0.25).length;
    console.log(`${layer.kind.padEnd(10)}${shape.weight.join('x').padEnd(18)}on ${shape.input.join('x').padEnd(14)}float ${us(ns.float)} (predicted ${ratios[0]!.toFixed(2)}x)   int8 ${us(ns.int8)} (${ratios[1]!.toFixed(2)}x)`);
  }
  console.log(`${((100 * within) / (2 * measured.length)).toFixed(0)} % of the times predicted within 25 %; conversions ${conversions.conversionNs} ns, pooling ${conversions.poolNs} ns an element`);
  const path = join(projectRoot, 'src', 'compression', 'techniques', 'quantize', 'static', 'costs', `measured-${table.instructionSet}.json`);
  if (process.argv.includes('--write')) await writeFile(path, `${JSON.stringify(table, null, 2)}\n`);
}

const us = (ns: number) => `${(ns / 1000).toFixed(1).padStart(7)} us`;

await run();
