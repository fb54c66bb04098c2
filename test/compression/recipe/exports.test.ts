/** Files beside the ONNX one: trained, pruned and quantized models back in the format they were uploaded in. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JobRequest, Step } from '../../../src/contracts/job-request.ts';
import { arrayDataset } from '../../../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../../../src/compression/data/array-store.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { seededNormal } from '../../../src/compression/data/random.ts';
import { readOnnx } from '../../../src/compression/formats/onnx/read.ts';
import { readModel } from '../../../src/compression/formats/read-model.ts';
import { withoutCodebooks } from '../../../src/compression/graph/codebooks.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { runRecipe, type RecipeResult } from '../../../src/compression/recipe/run.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { projectRoot } from '../../../src/process/entry.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

const TRAINED = [
  { technique: 'prune-weights', sparsity: 0.5, schedule: 'one-shot', epochs: 0 },
  { technique: 'distill', epochs: 1 },
] as Step[];
const quantize = (precision: string, method: string): Step => ({ technique: 'quantize', precision, method });

/** Random inputs as the model takes them: token numbers where they are integers. */
function samplesFor(model: Model, count = 48): Dataset {
  const normal = seededNormal(5);
  const inputs = new Map(
    model.graph.inputs.map(({ name, type }) => {
      const shape = [count, ...type!.shape!.slice(1).map(Number)];
      const size = shape.reduce((a, d) => a * d, 1);
      const array =
        type!.dtype === 'int32'
          ? arrayFrom(
              'int32',
              shape,
              Int32Array.from({ length: size }, (_, i) => (i * 7) % 30),
            )
          : arrayFrom('float32', shape, Float32Array.from({ length: size }, normal));
      return [name, array] as const;
    }),
  );
  return arrayDataset('npz', new Map([['train', { inputs, target: null }]]), { name: 'y' });
}

async function run(
  path: string,
  steps: Step[],
  more: Partial<JobRequest> = {},
): Promise<RecipeResult & { readonly uploaded: Model }> {
  const modelBytes = readFileSync(join(projectRoot, path));
  const { model, format } = await readModel(modelBytes);
  const stores = steps.map(() => memoryCheckpoints());
  const result = await runRecipe({
    modelBytes,
    request: {
      model: 'mdl_1',
      dataset: 'dst_1',
      seed: 4,
      steps,
      training: { batchSize: 16, learningRate: 0.01 },
      ...more,
    },
    model: { ...describeModel(model, format), trainable: true, untrainable: [] },
    dataset: samplesFor(model),
    loadModelBytes: async () => {
      throw new Error('no other model');
    },
    checkpoints: (step) => stores[step]!,
    signal: new AbortController().signal,
    report: () => undefined,
    threads: 1,
    latencyMs: 1,
  });
  return { ...result, uploaded: model };
}

const weights = (model: Model): Record<string, number[]> =>
  Object.fromEntries(
    [...model.graph.initializers]
      .filter(([, { dtype }]) => dtype === 'float32')
      .map(([name, tensor]) => [name, Array.from(toHost(tensor).data as Float32Array)]),
  );

describe.each([
  ['cnn.keras', 'keras', 'model.keras'],
  ['nested.h5', 'keras-h5', 'model.h5'],
  ['recurrent.keras', 'keras', 'model.keras'],
  ['attention.keras', 'keras', 'model.keras'],
  ['sequential.h5', 'keras-h5', 'model.h5'],
])('%s, pruned and distilled', (file, format, name) => {
  it('holds the weights of the ONNX file, shared ones once', async () => {
    const { files, report, uploaded } = await run(`test/data/keras/${file}`, TRAINED);
    expect(report.warnings.filter(({ code }) => code === 'export-not-written')).toEqual([]);
    const own = files.find((candidate) => candidate.name === name)!;
    expect([own.format, report.exports!.map((exported) => [exported.name, exported.weights])]).toEqual([
      format,
      [[name, 'float32']],
    ]);
    const result = weights(readOnnx(files.find((candidate) => candidate.name === 'model.onnx')!.bytes));
    expect(weights((await readModel(own.bytes)).model)).toEqual(result);
    expect(result).not.toEqual(weights(uploaded));
    expect(report.exports![0]!.fidelity.maxAbsError).toBeCloseTo(report.after.fidelity.maxAbsError, 5);
  });
});

describe.each([
  ['keras/joins.keras', 'keras', 'model.keras'],
  ['keras/towers.h5', 'keras-h5', 'model.h5'],
  ['keras/transformer.keras', 'keras', 'model.keras'],
  ['tfjs/layers-float32.zip', 'tfjs-layers', 'model.tfjs.zip'],
])('%s, with fewer channels after two steps, retrained between them', (file, format, name) => {
  it('has the topology of the smaller model, and its results', async () => {
    const channels = (more: object): Step => ({ technique: 'prune-channels', ratio: 0.3, epochs: 0, ...more });
    const { files, report, uploaded } = await run(`test/data/${file}`, [
      channels({}),
      { technique: 'distill', epochs: 1 },
      channels({ score: 'l1' }),
    ]);
    expect(report.warnings.filter(({ code }) => code === 'export-not-written')).toEqual([]);
    const own = files.find((candidate) => candidate.name === name)!;
    const elements = (model: Model): number =>
      Object.values(weights(model)).reduce((sum, { length }) => sum + (length > 1 ? length : 0), 0);
    expect(own.format).toBe(format);
    const read = await readModel(own.bytes);
    expect(read.format).toBe(format);
    expect(elements(read.model)).toBe(
      elements(readOnnx(files.find((candidate) => candidate.name === 'model.onnx')!.bytes)),
    );
    expect(elements(read.model)).toBeLessThan(elements(uploaded) * 0.7);
    expect(report.exports![0]!.fidelity.maxAbsError).toBeCloseTo(report.after.fidelity.maxAbsError, 5);
  });
});

describe('after quantizing', () => {
  it('Keras gets halves by float16, and the floats before by int8, with a word', async () => {
    const half = await run('test/data/keras/sequential.keras', [...TRAINED, quantize('float16', 'cast')]);
    expect(half.report.exports).toMatchObject([{ name: 'model.keras', weights: 'float16' }]);
    const int8 = await run('test/data/keras/sequential.keras', [...TRAINED, quantize('int8', 'weight-only')]);
    expect(int8.report.exports).toMatchObject([{ name: 'model.keras', weights: 'float32' }]);
    expect(int8.report.warnings).toContainEqual(expect.objectContaining({ code: 'own-format-not-quantized', step: 2 }));
    expect(int8.report.exports![0]!.fidelity.maxAbsError).toBeCloseTo(
      int8.report.steps[1]!.after.fidelity.maxAbsError,
      5,
    );
  });

  it('Keras gets no file if the recipe only quantizes', async () => {
    const { files, report } = await run('test/data/keras/sequential.keras', [quantize('int8', 'weight-only')]);
    expect(files.map(({ name }) => name)).toEqual(['model.onnx', 'manifest.json']);
    expect(report.warnings).toContainEqual(
      expect.objectContaining({
        code: 'export-not-written',
        message: expect.stringContaining('float weights only') as string,
      }),
    );
  });

  it.each([
    ['keras/folding.keras', 'keras', 'model.keras', 6],
    ['keras/layers/keras2-folding.h5.gz', 'keras-h5', 'model.h5', 3],
  ])('%s has its normalizations folded as the ONNX file has', async (file, format, name, left) => {
    const { report, files, uploaded } = await run(`test/data/${file}`, [
      { ...quantize('int8', 'static'), where: 'everywhere' },
    ]);
    expect(report.exports).toMatchObject([{ name, format, weights: 'float32' }]);
    expect(report.warnings.map(({ code }) => code)).toContain('own-format-not-quantized');
    expect(
      report.warnings.filter(({ code }) => ['own-format-not-folded', 'export-not-written'].includes(code)),
    ).toEqual([]);
    const { model } = await readModel(files.find((candidate) => candidate.name === name)!.bytes);
    const normalizations = ({ graph }: Model): number =>
      graph.nodes.filter(({ opType }) => opType === 'BatchNormalization').length;
    expect([normalizations(model), normalizations(uploaded) > left]).toEqual([left, true]);
    expect(report.exports![0]!.fidelity.sqnrDb).toBeGreaterThan(100); // float32, rounded elsewhere
  });

  it.each([
    ['int8', 'static', 'uint8'],
    ['float16', 'cast', 'float16'],
  ])('TF.js stores %s (%s) as %s', async (precision, method, stored) => {
    const { report, files } = await run('test/data/tfjs/layers-float32.zip', [quantize(precision, method)]);
    expect(report.exports).toMatchObject([{ name: 'model.tfjs.zip', format: 'tfjs-layers', weights: stored }]);
    const { model, format } = await readModel(files.find(({ name }) => name === 'model.tfjs.zip')!.bytes);
    expect(format).toBe('tfjs-layers');
    // folded, as in the ONNX file
    expect(model.graph.nodes.filter(({ opType }) => opType === 'BatchNormalization')).toHaveLength(0);
    expect(report.exports![0]!.fidelity.top1Agreement).toBeGreaterThan(0.9);
  });
});

describe('after clustering', () => {
  const cluster = { technique: 'cluster', bits: 3 } as Step;
  const kernels = (model: Model) => Object.values(weights(model)).filter(({ length }) => length > 300);

  it.each([
    ['keras/cnn.keras', 'keras'],
    ['tfjs/layers-float32.zip', 'tfjs-layers'],
  ])('%s holds the shared values as floats, also when a step behind it has trained them', async (file, format) => {
    for (const steps of [[cluster], [cluster, { technique: 'distill', epochs: 1 } as Step]]) {
      const { files, report } = await run(`test/data/${file}`, steps);
      expect(report.warnings.filter(({ code }) => code === 'export-not-written')).toEqual([]);
      const own = files.find((candidate) => candidate.format === format)!;
      const held = weights((await readModel(own.bytes)).model);
      const result = withoutCodebooks(readOnnx(files.find(({ name }) => name === 'model.onnx')!.bytes));
      expect(held).toEqual(weights(result));
      expect(kernels(result).length).toBeGreaterThan(0);
      for (const values of kernels(result)) expect(new Set(values).size).toBeLessThanOrEqual(8);
      expect(report.exports![0]!.fidelity.maxAbsError).toBeCloseTo(report.after.fidelity.maxAbsError, 5);
    }
  });

  it('integers of clustered weights, and a TF.js graph-model of them', async () => {
    const { files, report } = await run('examples/digit_cnn.onnx', [cluster, quantize('int8', 'static')], {
      export: [{ format: 'tfjs-graph', weights: 'float32' }],
    });
    expect(report.warnings.map(({ code }) => code)).toContain('codebooks-expanded');
    expect(report.warnings.map(({ code }) => code)).not.toContain('already-quantized');
    expect(
      Object.keys(describeModel(readOnnx(files.find(({ name }) => name === 'model.onnx')!.bytes), 'onnx').operators),
    ).not.toContain('BitShift');
    for (const values of kernels((await readModel(files.find(({ format }) => format === 'tfjs-graph')!.bytes)).model))
      expect(new Set(values).size).toBeLessThanOrEqual(8);
  });

  it('pruning works on the weights, and a warning says so', async () => {
    const { report } = await run('test/data/keras/cnn.keras', [
      cluster,
      { technique: 'prune-weights', sparsity: 0.5, epochs: 0 },
      cluster,
    ]);
    expect(report.warnings).toContainEqual(expect.objectContaining({ code: 'codebooks-expanded', step: 1 }));
    expect(report.after.sizeBytes).toBeLessThan(report.steps[1]!.after.sizeBytes);
    expect(report.after.nonZero).toBeLessThan(0.6 * report.after.parameters);
  });
});

it('an ONNX model is exported as a TF.js graph-model if the job asks for it', async () => {
  const { files, report } = await run('examples/digit_cnn.onnx', [quantize('int8', 'static')], {
    export: [{ format: 'tfjs-graph' }, { format: 'tfjs-graph', weights: 'float32' }],
  });
  expect(report.exports!.map(({ name, format, weights: stored }) => [name, format, stored])).toEqual([
    ['model.tfjs.zip', 'tfjs-graph', 'uint8'],
    ['model-float32.tfjs.zip', 'tfjs-graph', 'float32'],
  ]);
  const [small, full] = report.exports!;
  expect(small!.sizeBytes).toBeLessThan(full!.sizeBytes / 3);
  expect(full!.fidelity.maxAbsError).toBeLessThan(1e-4);
  expect(small!.fidelity.top1Agreement).toBeGreaterThan(0.9);
  expect(files.filter(({ format }) => format === 'tfjs-graph')).toHaveLength(2);
});
