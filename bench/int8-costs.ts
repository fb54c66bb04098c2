/** Costs of layers in float and in int8 on this processor: writes the table that quantize's `where: "faster"` uses */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeNode } from '../src/compression/ir/edit.ts';
import { elementCount } from '../src/compression/ir/tensor-data.ts';
import type { DataType, Model, Node } from '../src/compression/ir/types.ts';
import { processor } from '../src/compression/measure/processor.ts';
import { RUNTIME } from '../src/compression/measure/session.ts';
import {
  COUNTS,
  LAYER_KINDS,
  layerOf,
  type Layer,
  type LayerCounts,
  type LayerKind,
} from '../src/compression/techniques/quantize/static/costs/layer.ts';
import { integerLayer, type SingleLayer } from '../src/compression/techniques/quantize/static/costs/single-layer.ts';
import {
  predictedNs,
  type CostTable,
  type UnitCosts,
} from '../src/compression/techniques/quantize/static/costs/table.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { profileOperators, timeLayer, type LayerTimes } from './layer-times.ts';

interface Shape {
  readonly operator: 'Conv' | 'MatMul';
  /** One sample. */
  readonly input: readonly number[];
  readonly weight: readonly number[];
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}

const conv = (channels: number, outputs: number, size: number, kernel: number, stride = 1, group = 1): Shape => ({
  operator: 'Conv',
  input: [channels, size, size],
  weight: [outputs, channels / group, kernel, kernel],
  attributes: { pads: [kernel >> 1, kernel >> 1, kernel >> 1, kernel >> 1], strides: [stride, stride], group },
});
const matmul = (rows: number, k: number, n: number): Shape => ({
  operator: 'MatMul',
  input: rows > 1 ? [rows, k] : [k],
  weight: [k, n],
  attributes: {},
});

/** Layers as in networks of 1 to 200 MMACs. */
const SHAPES: readonly Shape[] = [
  ...[
    [16, 96, 56],
    [24, 144, 28],
    [32, 64, 28],
    [64, 64, 28],
    [64, 128, 14],
    [96, 24, 28],
    [128, 128, 28],
    [144, 32, 14],
    [192, 64, 14],
    [256, 256, 14],
    [320, 1280, 7],
    [512, 128, 7],
    [576, 96, 14],
    [64, 256, 56],
    [48, 33, 20],
    [32, 16, 32],
    [96, 24, 32],
    [144, 32, 16],
    [192, 32, 8],
    [64, 384, 8],
  ].map(([i, o, s]) => conv(i!, o!, s!, 1)),
  ...[
    [16, 32, 32],
    [32, 64, 16],
    [64, 128, 32],
    [128, 256, 16],
    [256, 512, 14],
  ].map(([i, o, s]) => conv(i!, o!, s!, 1, 2)),
  ...[
    [8, 8, 28, 3],
    [16, 16, 32, 3],
    [16, 32, 28, 3],
    [32, 32, 28, 3],
    [32, 64, 14, 3],
    [64, 64, 28, 3],
    [64, 64, 56, 3],
    [128, 128, 14, 3],
    [128, 128, 7, 3],
    [256, 256, 14, 3],
    [256, 256, 7, 3],
    [512, 512, 7, 3],
    [24, 32, 28, 3],
    [48, 64, 20, 3],
    [96, 96, 12, 3],
    [16, 64, 28, 3],
    [64, 24, 24, 5],
    [32, 32, 10, 3],
    [6, 16, 14, 5],
    [12, 24, 12, 5],
    [32, 48, 20, 5],
    [20, 50, 12, 5],
  ].map(([i, o, s, k]) => conv(i!, o!, s!, k!)),
  ...[
    [64, 128, 28],
    [32, 64, 56],
    [128, 256, 14],
    [256, 512, 14],
    [24, 48, 32],
  ].map(([i, o, s]) => conv(i!, o!, s!, 3, 2)),
  ...[
    [64, 64, 28, 4],
    [128, 128, 28, 32],
    [96, 96, 14, 6],
    [32, 32, 28, 2],
    [128, 256, 14, 8],
    [256, 256, 7, 32],
    [48, 96, 20, 4],
    [64, 64, 14, 8],
  ].map(([i, o, s, g]) => conv(i!, o!, s!, 3, 1, g)),
  ...[
    [1, 32, 28, 3, 1],
    [1, 16, 28, 5, 1],
    [1, 6, 32, 5, 1],
    [3, 16, 32, 3, 1],
    [3, 32, 64, 3, 1],
    [3, 32, 112, 3, 2],
    [3, 64, 64, 7, 2],
    [3, 64, 112, 7, 2],
    [3, 24, 96, 3, 2],
    [2, 20, 48, 3, 1],
    [1, 32, 40, 3, 1],
    [3, 16, 48, 5, 1],
    [3, 48, 40, 3, 1],
    [1, 8, 64, 3, 2],
  ].map(([i, o, s, k, t]) => conv(i!, o!, s!, k!, t)),
  ...[
    [32, 56, 3, 1],
    [64, 28, 3, 1],
    [96, 56, 3, 2],
    [144, 28, 3, 1],
    [144, 28, 5, 2],
    [192, 14, 3, 1],
    [384, 14, 3, 1],
    [576, 7, 3, 1],
    [32, 112, 3, 1],
    [24, 20, 5, 1],
    [16, 40, 3, 1],
    [240, 14, 5, 1],
    [48, 32, 5, 2],
    [768, 10, 3, 1],
    [64, 56, 3, 2],
    [384, 8, 3, 1],
    [576, 8, 3, 1],
    [192, 16, 3, 2],
    [144, 32, 3, 1],
  ].map(([c, s, k, t]) => conv(c!, c!, s!, k!, t, c)),
  ...[
    [784, 300],
    [300, 100],
    [1152, 256],
    [512, 10],
    [2048, 1000],
    [256, 256],
    [1280, 1000],
    [4096, 512],
    [128, 64],
    [768, 3072],
    [100, 10],
    [400, 120],
    [3136, 128],
    [576, 576],
    [64, 1024],
  ].map(([k, n]) => matmul(1, k!, n!)),
  ...[
    [128, 128, 128],
    [128, 128, 512],
    [64, 256, 256],
    [16, 256, 64],
    [197, 192, 576],
    [32, 768, 768],
    [12, 32, 128],
    [128, 512, 128],
    [50, 384, 1536],
    [8, 1024, 256],
  ].map(([m, k, n]) => matmul(m!, k!, n!)),
];

/** The layer alone; a convolution with its bias. */
const layerOfShape = ({ operator, input, weight, attributes }: Shape): SingleLayer => ({
  node: makeNode(operator, ['x', 'w'], ['h'], attributes),
  input: [1, ...input],
  weight,
  bias: operator === 'Conv' ? weight[0]! : null,
});

interface Measured {
  readonly shape: Shape;
  readonly layer: Layer;
  readonly ns: LayerTimes;
}

async function measure(shape: Shape): Promise<Measured> {
  const { operator, input, weight, attributes } = shape;
  const [stride] = (attributes['strides'] as readonly number[] | undefined) ?? [1];
  const outputs =
    operator === 'Conv'
      ? weight[0]! * Math.ceil(input[1]! / stride!) ** 2
      : (elementCount(input) / weight[0]!) * weight[1]!;
  const single = layerOfShape(shape);
  return { shape, layer: layerOf(single.node, weight, elementCount(input), outputs), ns: await timeLayer(single) };
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
      const residual = scaled.reduce(
        (sum, row) => sum + row[j]! * (1 - row.reduce((value, entry, i) => value + (i === j ? 0 : entry * x[i]!), 0)),
        0,
      );
      x[j] = Math.max(0, residual / squares);
    }
  }
  return Object.fromEntries(
    COUNTS.flatMap((count, j) => (x[j]! > 0 ? [[count, Number((x[j]! / scales[j]!).toPrecision(3))]] : [])),
  );
}

/**
 * Time per element of QuantizeLinear, DequantizeLinear and the layout changes around an integer convolution, and of its
 * pooling.
 */
async function measureConversions(): Promise<Pick<CostTable, 'conversionNs' | 'poolNs'>> {
  const [channels, size] = [64, 28];
  const elements = channels * size * size;
  const integer = integerLayer(layerOfShape(conv(channels, channels, size, 1)));
  const around = [
    makeNode('Sigmoid', ['f'], ['a']),
    makeNode('QuantizeLinear', ['a', 's', 'z'], ['x']),
    ...integer.graph.nodes,
    makeNode('DequantizeLinear', ['y', 's', 'z'], ['d']),
    makeNode('Sigmoid', ['d'], ['g']),
  ];
  const times = await profileOperators(withValues(integer, around, 'f', 'g', 'float32'));
  const converted = ['QuantizeLinear', 'DequantizeLinear', 'Transpose'].reduce(
    (sum, name) => sum + (times.get(name) ?? 0) * (name === 'Transpose' ? 2 : 1),
    0,
  );
  const pool = (dtype: DataType) =>
    profileOperators(
      withValues(
        integer,
        [makeNode('MaxPool', ['f'], ['g'], { kernel_shape: [2, 2], strides: [2, 2] })],
        'f',
        'g',
        dtype,
      ),
    );
  const [integers, floats] = [(await pool('uint8')).get('MaxPool') ?? 0, (await pool('float32')).get('MaxPool') ?? 0];
  return {
    conversionNs: Number((converted / (2 * elements)).toPrecision(2)),
    poolNs: Number((Math.max(0, integers - floats) / (elements / 4)).toPrecision(2)),
  };
}

/** The model of a layer with other nodes, from `input` to `output`. */
function withValues(layer: Model, nodes: readonly Node[], input: string, output: string, dtype: DataType): Model {
  const { shape } = layer.graph.inputs[0]!.type!;
  return {
    ...layer,
    graph: {
      ...layer.graph,
      nodes,
      inputs: [{ name: input, type: { dtype, shape } }],
      outputs: [{ name: output, type: { dtype, shape: null } }],
    },
  };
}

export async function run(): Promise<void> {
  const measured: Measured[] = [];
  for (const shape of SHAPES) measured.push(await measure(shape));
  const conversions = await measureConversions();
  const ofKind = (kind: LayerKind, precision: 'float' | 'int8') =>
    fit(
      measured
        .filter(({ layer }) => layer.kind === kind)
        .map(({ layer: { counts }, ns }) => ({ counts, ns: ns[precision] })),
    );
  const { name, instructionSets } = processor();
  const table: CostTable = {
    instructionSet: instructionSets.at(-1)!,
    measured: `${name}, ${RUNTIME}, ${new Date().toISOString().slice(0, 10)}`,
    absolute: true,
    layers: Object.fromEntries(
      LAYER_KINDS.map((kind) => [kind, { float: ofKind(kind, 'float'), int8: ofKind(kind, 'int8') }]),
    ) as CostTable['layers'],
    ...conversions,
  };
  let within = 0;
  for (const { shape, layer, ns } of measured) {
    const ratios = (['float', 'int8'] as const).map(
      (precision) => predictedNs(table, layer, precision) / ns[precision],
    );
    within += ratios.filter((ratio) => Math.abs(ratio - 1) <= 0.25).length;
    console.log(
      `${layer.kind.padEnd(10)}${shape.weight.join('x').padEnd(18)}on ` +
        `${shape.input.join('x').padEnd(14)}float ${us(ns.float)} (predicted ${ratios[0]!.toFixed(2)}x)   int8 ` +
        `${us(ns.int8)} (${ratios[1]!.toFixed(2)}x)`,
    );
  }
  console.log(
    `${((100 * within) / (2 * measured.length)).toFixed(0)} % of the times predicted within 25 %; conversions ` +
      `${conversions.conversionNs} ns, pooling ${conversions.poolNs} ns an element`,
  );
  if (process.argv.includes('--write'))
    await writeFile(join(projectRoot, COSTS, `${table.instructionSet}.ts`), source(table));
}

const COSTS = join('src', 'compression', 'techniques', 'quantize', 'static', 'costs');

function source(table: CostTable): string {
  const value = JSON.stringify(table, null, 2)
    .replace(/"([a-z0-9A-Z]+)":/g, '$1:')
    .replaceAll('"', "'");
  return (
    `/** Written by \`npm run bench -- int8-costs --write\`. */\nimport type { CostTable } from './table.ts';\n\n` +
    `export const ${table.instructionSet.toUpperCase().replaceAll('-', '_')}: CostTable = ${value};\n`
  );
}

const us = (ns: number) => `${(ns / 1000).toFixed(1).padStart(7)} us`;

await run();
