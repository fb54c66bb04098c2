import { describe, expect, test } from 'vitest';
import { modelsNamedBy, validateRecipe } from '../../../src/compression/recipe/validate.ts';
import type { DatasetDescription } from '../../../src/contracts/dataset.ts';
import type { JobRequest, Step } from '../../../src/contracts/job-request.ts';
import type { ModelDescription } from '../../../src/contracts/model.ts';
import type { LatheError } from '../../../src/errors.ts';

const model: ModelDescription = {
  format: 'onnx',
  parameters: 100,
  macs: 100,
  opset: 17,
  operators: { Gemm: 1 },
  trainable: true,
  untrainable: [],
  warnings: [],
  inputs: [{ name: 'x', dtype: 'float32', shape: [null, 4] }],
  outputs: [{ name: 'y', dtype: 'float32', shape: [null, 3] }],
};
const untrainable: ModelDescription = {
  ...model,
  trainable: false,
  untrainable: [{ node: 'n1', operator: 'Mystery', reason: 'is not known' }],
};
const dataset: DatasetDescription = {
  format: 'npz',
  samples: 10,
  splits: { train: 8, validation: 0, test: 2 },
  inputs: [{ name: 'x', dtype: 'float32', shape: [4] }],
  target: { kind: 'classes', classes: 3 },
};
const unlabelled: DatasetDescription = { ...dataset, target: { kind: 'none', classes: null } };

const request = (steps: readonly unknown[], more: Partial<JobRequest> = {}): JobRequest => ({
  model: 'mdl_1',
  steps: steps as Step[],
  ...more,
});

function refused(...args: Parameters<typeof validateRecipe>): { code: string; paths: string[]; message: string } {
  try {
    validateRecipe(...args);
  } catch (error) {
    const { code, errors, message } = error as LatheError;
    return { code, paths: errors.map(({ path }) => path), message };
  }
  throw new Error('was accepted');
}

describe('validateRecipe', () => {
  test('fills in defaults, those that depend on the job included', () => {
    const steps = [{ technique: 'prune-weights', sparsity: 0.9 }, { technique: 'distill' }, { technique: 'quantize' }];
    expect(validateRecipe(request(steps), model, dataset).steps).toMatchObject([
      { sparsity: 0.9, scope: 'global', schedule: 'one-shot', epochs: 1, layers: {} },
      { teacher: 'original', temperature: 4, epochs: 1 },
      { precision: 'int8' },
    ]);
    expect(validateRecipe(request([{ technique: 'prune-weights' }]), model, null).steps[0]).toMatchObject({
      sparsity: 0.5,
      epochs: 0,
    });
    expect(
      validateRecipe(request([{ technique: 'cluster' }, { technique: 'cluster', clusters: 9 }]), model, null).steps,
    ).toEqual([
      { technique: 'cluster', bits: 5, init: 'linear', epochs: 0, layers: {} },
      { technique: 'cluster', clusters: 9, init: 'linear', epochs: 0, layers: {} },
    ]);
    expect(validateRecipe(request([{ technique: 'prune-weights' }]), untrainable, dataset).steps[0]).toMatchObject({
      epochs: 0,
    });
    expect(
      validateRecipe(
        request([{ technique: 'retrain' }, { technique: 'distill', epochs: 2 }], { training: { epochs: 7 } }),
        model,
        dataset,
      ).steps,
    ).toMatchObject([{ epochs: 7 }, { epochs: 2 }]);
  });

  test('a step overrides the training settings it names and no others', () => {
    const steps = [{ technique: 'retrain', training: { learningRate: 0.01 } }];
    expect(validateRecipe(request(steps, { training: { batchSize: 32 } }), model, dataset).steps[0]).toEqual({
      technique: 'retrain',
      epochs: 1,
      training: { learningRate: 0.01 },
    });
    expect(
      refused(request([{ technique: 'retrain', training: { optimizer: 'magic' } }]), model, dataset).paths,
    ).toEqual(['/steps/0/training/optimizer']);
  });

  test('finds every problem of every step at once, each with its path', () => {
    const { code, paths } = refused(
      request([
        { technique: 'prune-weights', sparsity: 1.5, scope: 'everywhere' },
        { technique: 'sharpen' },
        { technique: 'distill', alhpa: 0.5 },
        { technique: 'quantize', precision: 'int7' },
      ]),
      model,
      dataset,
    );
    expect(code).toBe('invalid-request');
    expect(paths).toEqual([
      '/steps/0/sparsity',
      '/steps/0/scope',
      '/steps/1/technique',
      '/steps/2/alhpa',
      '/steps/3/precision',
    ]);
  });

  test.each([
    ['two goals', { technique: 'prune-weights', sparsity: 0.5, threshold: { absolute: 1 } }, '/steps/0/threshold'],
    ['a pattern that prunes nothing', { technique: 'prune-weights', pattern: '4:2' }, '/steps/0/pattern'],
    [
      'a gradual schedule without epochs',
      { technique: 'prune-weights', sparsity: 0.5, schedule: 'gradual', epochs: 0 },
      '/steps/0/schedule',
    ],
    ['a threshold of nothing', { technique: 'prune-weights', threshold: {} }, '/steps/0/threshold'],
    ['bits and clusters', { technique: 'cluster', bits: 4, clusters: 16 }, '/steps/0/clusters'],
    ['one cluster', { technique: 'cluster', clusters: 1 }, '/steps/0/clusters'],
    ['int8 by casting', { technique: 'quantize', precision: 'int8', method: 'cast' }, '/steps/0/method'],
  ])('contradictions: %s', (_name, step, path) => {
    expect(refused(request([step]), model, dataset)).toMatchObject({ code: 'invalid-request', paths: [path] });
  });

  test("data: required, with labels where labels are needed, of the model's shapes", () => {
    expect(refused(request([{ technique: 'distill' }]), model, null)).toMatchObject({
      code: 'dataset-required',
      paths: ['/steps/0'],
    });
    expect(refused(request([{ technique: 'prune-weights', sparsity: 0.5, epochs: 1 }]), model, null).code).toBe(
      'dataset-required',
    );
    expect(refused(request([{ technique: 'retrain' }]), model, unlabelled)).toMatchObject({
      code: 'dataset-required',
      paths: ['/steps/0'],
    });
    expect(() =>
      validateRecipe(request([{ technique: 'distill' }, { technique: 'prune-weights' }]), model, unlabelled),
    ).not.toThrow();
    const wide = { ...dataset, inputs: [{ name: 'x', dtype: 'float32', shape: [5] }] };
    expect(refused(request([{ technique: 'distill' }]), model, wide)).toMatchObject({
      code: 'shape-mismatch',
      paths: ['/dataset'],
    });
  });

  test('models that cannot be trained are refused by name of the node, and only where a step trains', () => {
    const { code, message } = refused(request([{ technique: 'retrain' }]), untrainable, dataset);
    expect(code).toBe('model-not-trainable');
    expect(message).toContain('"n1" (Mystery)');
    expect(() =>
      validateRecipe(
        request([
          { technique: 'prune-weights', sparsity: 0.5 },
          { technique: 'quantize', method: 'weight-only' },
        ]),
        untrainable,
        dataset,
      ),
    ).not.toThrow();
  });

  test('teachers must exist and fit', () => {
    const steps = [{ technique: 'distill', teacher: 'mdl_2' }];
    expect(modelsNamedBy(request([...steps, { technique: 'distill' }]).steps)).toEqual(['mdl_2']);
    expect(refused(request(steps), model, dataset)).toMatchObject({ code: 'not-found', paths: ['/steps/0/teacher'] });
    const other = { ...model, outputs: [{ name: 'y', dtype: 'float32', shape: [null, 4] }] };
    expect(refused(request(steps), model, dataset, new Map([['mdl_2', other]]))).toMatchObject({
      code: 'shape-mismatch',
      paths: ['/steps/0/teacher'],
    });
    expect(() => validateRecipe(request(steps), model, dataset, new Map([['mdl_2', model]]))).not.toThrow();
  });

  test('nothing trains, prunes or quantizes a model of integers again', () => {
    const int8 = { technique: 'quantize', precision: 'int8' };
    expect(
      refused(request([int8, { technique: 'retrain' }, int8, { technique: 'cluster', epochs: 0 }]), model, dataset),
    ).toMatchObject({ code: 'invalid-request', paths: ['/steps/1', '/steps/2', '/steps/3'] });
    expect(refused(request([int8, { technique: 'factorize', epochs: 0 }]), model, dataset)).toMatchObject({
      code: 'invalid-request',
      paths: ['/steps/1'],
    });
    expect(() => validateRecipe(request([int8, { technique: 'analyze' }]), model, dataset)).not.toThrow();
    expect(() =>
      validateRecipe(request([{ technique: 'quantize', precision: 'float16' }, int8]), model, dataset),
    ).not.toThrow();
  });

  test.each([
    [{ mode: 'pipeline', stages: 2, microBatches: 4 }, 'cutting the model into stages'],
    [{ mode: 'branch', stages: 2 }, 'cutting the model into branches'],
  ] as const)('%j is refused with what is missing and what to do', (parallel, missing) => {
    const { code, paths, message } = refused(request([{ technique: 'retrain' }], { parallel }), model, dataset);
    expect({ code, paths }).toEqual({ code: 'invalid-request', paths: ['/parallel/mode'] });
    expect(message).toContain(`no code for ${missing}; use "none"`);
  });

  test.each([
    { mode: 'none' },
    { mode: 'none', replicas: 1 },
    { mode: 'sync', replicas: 1 },
    { mode: 'sync', replicas: 64, syncBatchNorm: false, onLoss: 'restart' },
    { mode: 'sync', replicas: 'auto' },
    { mode: 'async', replicas: 4, staleness: { max: 8, compensate: true }, compression: { topK: 0.01 } },
    { mode: 'async', localSteps: 100, staleness: { max: 0 } },
  ] as const)('trains in one process or in several: %j', (parallel) =>
    expect(() => validateRecipe(request([{ technique: 'retrain' }], { parallel }), model, dataset)).not.toThrow(),
  );

  test.each([
    ['replicas', { mode: 'none', replicas: 2 }],
    ['stages', { mode: 'sync', replicas: 1, stages: 2 }],
    ['microBatches', { mode: 'none', microBatches: 4 }],
    ['staleness', { mode: 'sync', replicas: 1, staleness: { max: 4 } }],
    ['replicas', { mode: 'sync', replicas: 65 }],
    ['onLoss', { mode: 'sync', replicas: 2, onLoss: 'wait' }],
    ['syncBatchNorm', { mode: 'none', syncBatchNorm: false }],
    ['compression', { mode: 'sync', replicas: 1, compression: { topK: 0.1 } }],
    ['localSteps', { mode: 'sync', replicas: 2, localSteps: 10 }],
    ['compression', { mode: 'async', localSteps: 10, compression: { topK: 0.1 } }],
    ['staleness/compensate', { mode: 'async', localSteps: 10, staleness: { compensate: true } }],
    ['staleness/scaleLearningRate', { mode: 'async', localSteps: 10, staleness: { scaleLearningRate: true } }],
  ] as const)('settings that would change the computation are not ignored: parallel.%s', (name, parallel) => {
    expect(refused(request([{ technique: 'retrain' }], { parallel }), model, dataset)).toMatchObject({
      code: 'invalid-request',
      paths: [`/parallel/${name}`],
    });
  });

  test('a union is explained once, by its alternatives', () => {
    const { paths, message } = refused(
      request([{ technique: 'prune-weights', threshold: { absolute: 1, sigma: 2 } }]),
      model,
      dataset,
    );
    expect(paths).toEqual(['/steps/0/threshold']);
    expect(message).toContain('must be one of {"absolute": number >= 0}, {"sigma": number >= 0}');
  });
});
