/**
 * int8 on this processor: latency of float, of the default file and of the one for this machine; the cost model's
 * predictions beside measured times
 */
import Value from 'typebox/value';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { arrayDataset } from '../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../src/compression/data/array-store.ts';
import { seededNormal } from '../src/compression/data/random.ts';
import { readOnnx } from '../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import type { Model } from '../src/compression/ir/types.ts';
import { measureModels } from '../src/compression/measure/measure.ts';
import { processor } from '../src/compression/measure/processor.ts';
import { productsSaturate } from '../src/compression/measure/saturation-probe.ts';
import { apply } from '../src/compression/techniques/quantize/apply.ts';
import { spec, type QuantizeParameters } from '../src/compression/techniques/quantize/spec.ts';
import type { StepContext } from '../src/compression/step/step-context.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { ARCHITECTURES } from './architecture-networks.ts';
import { chosenOf } from './chosen.ts';
import { measureLayers, type MeasuredLayer } from './layer-times.ts';
import { NETWORKS } from './networks.ts';
import { saveResult } from './result.ts';

const CALIBRATION_SAMPLES = 32;
const VARIANTS = {
  default: {},
  'this machine': { target: 'this-machine' },
  everywhere: { where: 'everywhere' },
} as const;

interface Contestant {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** One sample. */
  readonly input: readonly number[];
}

const CONTESTANTS: readonly Contestant[] = [
  { name: 'digit-cnn', bytes: readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')), input: [1, 28, 28] },
  ...NETWORKS.map(({ name, image: [height, width, channels], onnx }) => ({
    name,
    bytes: onnx(),
    input: name === 'lenet-300-100' ? [height * width * channels] : [channels, height, width],
  })),
  ...ARCHITECTURES.map(({ name, input, onnx }) => ({ name, bytes: onnx(), input })),
];

export async function run(): Promise<void> {
  const { name, instructionSets } = processor();
  console.log(
    `${name}: ${instructionSets.join(', ')}; 8-bit products ${(await productsSaturate()) ? 'saturate' : 'are exact'}`,
  );
  const rows = [];
  const layers: MeasuredLayer[] = [];
  const chosen = chosenOf(CONTESTANTS);
  const result = [
    'int8',
    instructionSets.at(-1)!,
    ...(chosen.length < CONTESTANTS.length ? chosen.map((each) => each.name) : []),
  ].join('-');
  for (const contestant of chosen) {
    rows.push(await compare(contestant));
    layers.push(...(await measureLayers(readOnnx(contestant.bytes), contestant.input)));
    console.log(
      saveResult(result, { processor: { name, instructionSets }, rows, layers, within25Percent: within(layers) }),
    );
  }
  console.log(`${(100 * within(layers)).toFixed(0)} % of ${2 * layers.length} times of layers predicted within 25 %`);
}

const within = (layers: readonly MeasuredLayer[]) =>
  layers
    .flatMap(({ float, int8 }) => [float, int8])
    .filter(({ predictedUs, us }) => Math.abs(predictedUs / us - 1) <= 0.25).length /
  (2 * layers.length);

async function compare({ name, bytes, input }: Contestant) {
  const model = readOnnx(bytes);
  const candidates = await Promise.all(Object.values(VARIANTS).map((given) => quantized(model, input, given)));
  const measures = await measureModels({
    original: bytes,
    candidates: candidates.map((candidate) => writeOnnx(candidate)),
    dataset: null,
    transform: {},
    seed: 1,
    latencyBudgetMs: 12_000,
  });
  const [float, ...int8] = measures;
  const variants = Object.fromEntries(
    Object.keys(VARIANTS).map((variant, i) => [
      variant,
      {
        latencyMs: int8[i]!.latencyMs!.median,
        ratio: int8[i]!.latencyMs!.median / float!.latencyMs!.median,
        sqnrDb: int8[i]!.fidelity.sqnrDb,
        exactSqnrDb: int8[i]!.fidelity.exact?.sqnrDb ?? null,
      },
    ]),
  );
  console.log(
    `${name.padEnd(14)}float ${float!.latencyMs!.median.toFixed(3)} ms   ${Object.entries(variants)
      .map(([variant, { latencyMs, ratio }]) => `${variant} ${latencyMs.toFixed(3)} ms (${ratio.toFixed(2)}x)`)
      .join('   ')}`,
  );
  return { network: name, floatMs: float!.latencyMs!.median, variants };
}

async function quantized(model: Model, input: readonly number[], given: object): Promise<Model> {
  const normal = seededNormal(1);
  const size = input.reduce((a, b) => a * b, 1);
  const x = arrayFrom(
    'float32',
    [CALIBRATION_SAMPLES, ...input],
    Float32Array.from({ length: CALIBRATION_SAMPLES * size }, () => normal()),
  );
  const dataset = arrayDataset(
    'npz',
    new Map([['train', { inputs: new Map([[model.graph.inputs[0]!.name, x]]), target: null }]]),
    { name: 'y' },
  );
  const context: StepContext = {
    seed: 1,
    dataset,
    transform: {},
    training: {},
    loader: {},
    original: model,
    loadModel: () => Promise.reject(new Error('quantize loads no model')),
    checkpoints: { save: () => Promise.resolve(), load: () => Promise.resolve(null) },
    signal: new AbortController().signal,
    report: () => undefined,
    record: () => undefined,
    warn: () => undefined,
  };
  const parameters = Value.Default(spec.parameters, {
    calibration: { method: 'min-max', samples: CALIBRATION_SAMPLES },
    ...given,
  }) as QuantizeParameters;
  return (await apply({ model, frozenZeros: new Set(), kept: new Map(), quantized: false }, parameters, context)).model;
}

await run();
