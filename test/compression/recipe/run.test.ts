import { Value } from 'typebox/value';
import { beforeAll, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import { runRecipe, type RecipeEvent, type RecipeInput } from '../../../src/compression/recipe/run.ts';
import type { CheckpointStore } from '../../../src/compression/step/checkpoint-store.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { Step } from '../../../src/contracts/job-request.ts';
import { Report } from '../../../src/contracts/report.ts';
import { clouds, perceptron } from '../../support/models.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

const model = perceptron({ hidden: 32, activation: 'Softmax' });
const STEPS = [
  { technique: 'retrain', epochs: 3 },
  { technique: 'prune-weights', sparsity: 0.6, schedule: 'gradual', epochs: 2 },
  { technique: 'quantize', precision: 'int8', method: 'weight-only' },
] as Step[];

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

function input(more: Partial<RecipeInput> = {}, events: RecipeEvent[] = []): RecipeInput {
  const stores = new Map<number, CheckpointStore>();
  return {
    modelBytes: writeOnnx(model),
    request: {
      model: 'mdl_1',
      dataset: 'dst_1',
      seed: 4,
      steps: STEPS,
      training: { batchSize: 16, learningRate: 0.01 },
    },
    model: { ...describeModel(model, 'onnx'), trainable: true, untrainable: [] },
    dataset: clouds({ samples: 500 }),
    loadModelBytes: async () => {
      throw new Error('no other model');
    },
    checkpoints: (step) => stores.get(step) ?? stores.set(step, memoryCheckpoints()).get(step)!,
    signal: new AbortController().signal,
    report: (event) => events.push(event),
    threads: 1,
    latencyMs: 0.001,
    ...more,
  };
}

test("runs the steps in order and gives each one's file, the manifest, and measured evidence", async () => {
  const events: RecipeEvent[] = [];
  const { report, files, recommended } = await runRecipe(input({}, events));
  expect(files.map(({ name }) => name)).toEqual([
    'step-1-retrain.onnx',
    'step-2-prune-weights.onnx',
    'model.onnx',
    'manifest.json',
  ]);
  expect(recommended).toBe(2);
  expect(report.before.accuracy!.top1).toBeLessThan(0.9);
  expect(report.steps[0]!.after.accuracy!.top1).toBeGreaterThan(0.95);
  expect(report.after.accuracy!.top1).toBeGreaterThan(0.9);
  // 224 kernel weights, 60 % of them gone, and 35 biases.
  expect(report.steps[1]!.after.nonZero).toBe(224 - Math.round(224 * 0.6) + 35);
  expect(report.after).toEqual(report.steps[2]!.after);
  expect(report.after.latencyMs!.runs).toBe(10); // `latencyMs` is over at once: the least number
  const manifest = JSON.parse(new TextDecoder().decode(files[3]!.bytes)) as {
    recipe: { steps: Step[] };
    seed: number;
    software: Record<string, string>;
  };
  expect(manifest.recipe.steps[1]).toMatchObject({ sparsity: 0.6, rampFraction: 0.5 });
  expect(manifest.seed).toBe(4);
  expect(manifest.software.runtime).toMatch(/^onnxruntime \d/);

  const steps = events.filter(({ type }) => type === 'step').map(({ data }) => data);
  expect(steps).toEqual(
    STEPS.flatMap(({ technique }, step) => ['running', 'succeeded'].map((state) => ({ step, technique, state }))),
  );
  expect(events.filter(({ type }) => type === 'metric')).toHaveLength(5);
  const progress = events.flatMap((event) => (event.type === 'progress' ? [event.data.progress] : []));
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
});

test('killed within a step and started again: the same files; finished steps do not run twice', async () => {
  const whole = await runRecipe(input());
  const stop = new AbortController();
  const first: RecipeEvent[] = [];
  const base = input();
  const killed = {
    ...base,
    signal: stop.signal,
    report: (event: RecipeEvent) => {
      first.push(event);
      if (event.type === 'metric' && event.data.step === 1) stop.abort(new Error('killed'));
    },
  };
  await expect(runRecipe(killed)).rejects.toThrow('killed');
  const second: RecipeEvent[] = [];
  const resumed = await runRecipe({ ...base, report: (event) => second.push(event) });
  expect(second.some((event) => event.type === 'step' && event.data.step === 0)).toBe(false);
  expect(second.filter((event) => event.type === 'metric' && event.data.step === 1)).toHaveLength(1);
  for (let i = 0; i < 3; i++)
    expect(Buffer.from(resumed.files[i]!.bytes).equals(Buffer.from(whole.files[i]!.bytes))).toBe(true);
});

test('nothing runs if a later step is invalid', async () => {
  const events: RecipeEvent[] = [];
  const base = input({}, events);
  const request = { ...base.request, steps: [STEPS[0]!, { technique: 'prune-weights', sparsity: 7 }] as Step[] };
  await expect(runRecipe({ ...base, request })).rejects.toMatchObject({
    code: 'invalid-request',
    errors: [{ path: '/steps/1/sparsity' }],
  });
  expect(events).toEqual([]);
});

test('what analyze found is in the report, also after a kill, and the model goes through untouched', async () => {
  const steps = [
    { technique: 'analyze', sparsities: [0.5] },
    { technique: 'prune-weights', sparsity: 0.5, epochs: 0 },
  ] as Step[];
  const base = input();
  const whole = await runRecipe({ ...base, request: { ...base.request, steps } });
  expect(Buffer.from(whole.files[0]!.bytes).equals(Buffer.from(base.modelBytes))).toBe(true);
  expect(Value.Check(Report, whole.report)).toBe(true);
  const { sensitivity } = whole.report.steps[0]!;
  expect(sensitivity!.layers.map(({ weight }) => weight).sort()).toEqual(['w1', 'w2']);
  expect(sensitivity!.recommendations.map(({ kind }) => kind)).toEqual(['prune', 'int8']);
  expect(whole.report.steps[1]).not.toHaveProperty('sensitivity');
  const again = await runRecipe({ ...base, request: { ...base.request, steps } });
  expect(again.report.steps[0]!.sensitivity).toEqual(sensitivity);
});

test('analyze tries clustered weights as floats and hands them on clustered', async () => {
  const base = input();
  const steps = [
    { technique: 'cluster', epochs: 0 },
    { technique: 'analyze', of: ['int8'] },
  ] as Step[];
  const { files, report } = await runRecipe({ ...base, request: { ...base.request, steps } });
  expect(Buffer.from(files[0]!.bytes).equals(Buffer.from(base.modelBytes))).toBe(false);
  expect(Buffer.from(files[1]!.bytes).equals(Buffer.from(files[0]!.bytes))).toBe(true);
  expect(report.steps[1]!.sensitivity!.layers).toHaveLength(2);
  expect(report.warnings.map(({ code }) => code)).not.toContain('codebooks-expanded');
});
