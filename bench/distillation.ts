/**
 * Distillation on MNIST against published figures: Hinton's perceptrons, and a thin student by hints, attention,
 * relations (--epochs N, --part hinton|thin)
 */
import { parseArgs } from 'node:util';
import type { Dataset } from '../src/compression/data/dataset.ts';
import { readOnnx } from '../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import { countWeights } from '../src/compression/graph/weights.ts';
import type { Model } from '../src/compression/ir/types.ts';
import { measureModels } from '../src/compression/measure/measure.ts';
import { apply as distill } from '../src/compression/techniques/distill/apply.ts';
import type { DistillParameters } from '../src/compression/techniques/distill/spec.ts';
import { apply as retrain } from '../src/compression/techniques/retrain/apply.ts';
import type { ModelState } from '../src/compression/step/model-state.ts';
import type { StepContext } from '../src/compression/step/step-context.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { mnist } from './mnist.ts';
import { OnnxNetwork } from './networks.ts';
import { saveResult } from './result.ts';

const SCALE = 1 / 255;
const TRAINING = { batchSize: 128, optimizer: 'adam', learningRate: 0.001, schedule: { kind: 'cosine' } } as const;
const SEED = 1;

interface Row {
  readonly network: string;
  readonly parameters: number;
  /** Of 10,000. */
  readonly errors: number;
  readonly seconds: number;
}

const { values: options } = parseArgs({
  options: { epochs: { type: 'string', default: '' }, part: { type: 'string', default: '' } },
});
const rows: Row[] = [];

await startEngine('auto');
if (options.part !== 'thin') await hinton(Number(options.epochs || 20));
if (options.part !== 'hinton') await thin(Number(options.epochs || 5));

/**
 * Hinton et al. 2015, section 3: 67 errors of the teacher (dropout, jittered images), 146 of the student alone, 74
 * distilled at a temperature of 20.
 */
async function hinton(epochs: number): Promise<void> {
  const data = mnist();
  const teacher = await train('teacher 1200-1200, dropout', perceptron(1200, true), data, (state, context) =>
    retrain(state, { epochs }, context),
  );
  const student = (): Model => perceptron(800, false);
  await train('student 800-800 alone', student(), data, (state, context) => retrain(state, { epochs }, context));
  await train(
    'student 800-800 distilled',
    student(),
    data,
    (state, context) => distill(state, distillation({ temperature: 20, alpha: 1, epochs }), context),
    teacher,
  );
}

/** As in FitNets (Romero et al. 2015, table 4): a student that is deeper and thinner than its teacher. */
async function thin(epochs: number): Promise<void> {
  const data = mnist();
  const teacher = await train('teacher, 3 wide convolutions', wideTeacher(), data, (state, context) =>
    retrain(state, { epochs }, context),
  );
  await train('thin student alone', thinStudent(), data, (state, context) => retrain(state, { epochs }, context));
  for (const method of ['logits', 'hints', 'attention', 'relational'] as const) {
    const given = method === 'hints' ? { hintEpochs: Math.ceil(epochs / 2) } : {};
    await train(
      `thin student, ${method}`,
      thinStudent(),
      data,
      (state, context) => distill(state, distillation({ method, epochs, ...given }), context),
      teacher,
    );
  }
}

function distillation(given: Partial<DistillParameters>): DistillParameters {
  return { teacher: 'teacher', method: 'logits', temperature: 4, alpha: 0.9, epochs: 1, ...given };
}

async function train(
  network: string,
  model: Model,
  data: Dataset,
  step: (state: ModelState, context: StepContext) => Promise<ModelState>,
  teacher: Model | null = null,
): Promise<Model> {
  const started = Date.now();
  const trained = (
    await step({ model, frozenZeros: new Set(), kept: new Map(), quantized: false }, contextFor(model, data, teacher))
  ).model;
  const seconds = Math.round((Date.now() - started) / 1000);
  const bytes = writeOnnx(trained);
  const [measures] = await measureModels({
    original: bytes,
    candidates: [],
    dataset: data,
    transform: { scale: SCALE },
    seed: SEED,
  });
  rows.push({
    network,
    parameters: countWeights(trained.graph).parameters,
    errors: Math.round((1 - measures!.accuracy!.top1!) * measures!.accuracy!.samples),
    seconds,
  });
  const { parameters, errors } = rows.at(-1)!;
  console.log(
    `${network.padEnd(32)}${String(parameters).padStart(9)} parameters   ${String(errors).padStart(4)} errors ` +
      `of 10,000   ${seconds} s`,
  );
  saveResult('distillation', { training: TRAINING, seed: SEED, rows });
  return readOnnx(bytes);
}

function contextFor(model: Model, dataset: Dataset, teacher: Model | null): StepContext {
  return {
    seed: SEED,
    dataset,
    transform: { scale: SCALE },
    training: TRAINING,
    loader: { numWorkers: 0 },
    original: model,
    loadModel: () => (teacher ? Promise.resolve(teacher) : Promise.reject(new Error('there is no teacher'))),
    checkpoints: { save: () => Promise.resolve(), load: () => Promise.resolve(null) },
    signal: new AbortController().signal,
    report: ({ endOfEpoch, epoch, metrics }) => {
      if (endOfEpoch) process.stderr.write(`  epoch ${epoch}: ${JSON.stringify(metrics)}\n`);
    },
    record: () => undefined,
    warn: (code, message) => console.error(`  ${code}: ${message}`),
  };
}

function perceptron(width: number, dropout: boolean): Model {
  const network = new OnnxNetwork();
  const { graph } = network;
  const dropped = (x: string, rate: number): string =>
    dropout ? graph.op('Dropout', [x, graph.weight('rate', [], Float32Array.of(rate))]) : x;
  const flat = dropped(graph.op('Flatten', [graph.input('x', 'float32', ['n', 1, 28, 28])], { axis: 1 }), 0.2);
  const first = dropped(network.relu(network.dense(flat, 784, width)), 0.5);
  const second = dropped(network.relu(network.dense(first, width, width)), 0.5);
  return readOnnx(network.finish(network.dense(second, width, 10), `perceptron-${width}`));
}

/** 3 x 3 convolutions of 48, 48 and 64 channels, pooled after each. */
function wideTeacher(): Model {
  return convolutional([[48], [48], [64]]);
}

/** Six of 16 to 32. */
function thinStudent(): Model {
  return convolutional([
    [16, 16],
    [16, 16],
    [24, 32],
  ]);
}

/** Convolutions by stage, a pooling after each stage, one dense layer. */
function convolutional(stages: readonly (readonly number[])[]): Model {
  const network = new OnnxNetwork();
  let x = network.graph.input('x', 'float32', ['n', 1, 28, 28]);
  let channels = 1;
  for (const stage of stages) {
    for (const width of stage) {
      x = network.relu(network.batchNorm(network.conv(x, 3, channels, width, { pad: 1 }), width));
      channels = width;
    }
    x = network.pool(x);
  }
  const flat = network.graph.op('Flatten', [x], { axis: 1 });
  return readOnnx(network.finish(network.dense(flat, channels * 9, 10), 'convolutional'));
}
