/**
 * Recipes that share stores by the keys of steps: known results are not computed again, and all are measured at once.
 */
import { beforeAll, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import { measureRecipes } from '../../../src/compression/recipe/measure-recipes.ts';
import { runRecipe, type RecipeEvent, type RecipeInput } from '../../../src/compression/recipe/run.ts';
import { runSteps } from '../../../src/compression/recipe/run-steps.ts';
import { sha256 } from '../../../src/compression/recipe/sha256.ts';
import { validateRecipe } from '../../../src/compression/recipe/validate.ts';
import type { CheckpointStore } from '../../../src/compression/step/checkpoint-store.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { JobRequest, Step } from '../../../src/contracts/job-request.ts';
import { clouds, perceptron } from '../../support/models.ts';
import { memoryCheckpoints } from '../../support/steps.ts';

const model = perceptron({ hidden: 32, activation: 'Softmax' });
const TRAIN = { technique: 'retrain', epochs: 1 };
const PRUNE = { technique: 'prune-weights', sparsity: 0.5, epochs: 0 };
const QUANTIZE = { technique: 'quantize', method: 'weight-only' };

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

function inputWith(stores: Map<string, CheckpointStore>, steps: Step[], more: Partial<JobRequest> = {}) {
  const ran: string[] = [];
  const input: RecipeInput = {
    modelBytes: writeOnnx(model),
    request: { model: 'mdl_1', dataset: 'dst_1', seed: 4, steps, training: { batchSize: 16 }, ...more },
    model: { ...describeModel(model, 'onnx'), trainable: true, untrainable: [] },
    dataset: clouds({ samples: 200 }),
    loadModelBytes: () => Promise.reject(new Error('no other model')),
    checkpoints: (_step, key) => stores.get(key) ?? stores.set(key, memoryCheckpoints()).get(key)!,
    signal: new AbortController().signal,
    report: (event: RecipeEvent) => {
      if (event.type === 'step' && event.data.state === 'running') ran.push(event.data.technique);
    },
    threads: 1,
    latencyMs: 1,
  };
  return { input, ran };
}

test('a step with the same inputs is not run again; with another seed, or after another step, it is', async () => {
  const stores = new Map<string, CheckpointStore>();
  const run = async (steps: Step[], more: Partial<JobRequest> = {}) => {
    const { input, ran } = inputWith(stores, steps, more);
    const { files } = await runRecipe(input);
    return { ran, bytes: files.map(({ bytes }) => Buffer.from(bytes)) };
  };
  const first = await run([TRAIN, PRUNE]);
  expect(first.ran).toEqual(['retrain', 'prune-weights']);
  const second = await run([TRAIN, QUANTIZE]); // the trained model is known
  expect(second.ran).toEqual(['quantize']);
  expect(second.bytes[0]!.equals(first.bytes[0]!)).toBe(true);
  expect((await run([TRAIN, PRUNE], { seed: 5 })).ran).toEqual(['retrain', 'prune-weights']);
  expect((await run([PRUNE, TRAIN])).ran).toEqual(['prune-weights', 'retrain']);
  expect((await run([TRAIN, PRUNE])).ran).toEqual([]);
});

test('a store that holds the record of another recipe is not mistaken for this one', async () => {
  const store = memoryCheckpoints();
  const run = async (step: Step) => {
    const { input, ran } = inputWith(new Map(), [step]);
    const { files } = await runRecipe({ ...input, checkpoints: () => store });
    return { ran, bytes: Buffer.from(files[0]!.bytes) };
  };
  const half = await run(PRUNE);
  const most = await run({ ...PRUNE, sparsity: 0.9 });
  expect(most.ran).toEqual(['prune-weights']);
  expect(most.bytes.equals(half.bytes)).toBe(false);
  expect((await run({ ...PRUNE, sparsity: 0.9 })).ran).toEqual([]);
});

test('several recipes are measured together as each would be alone', async () => {
  const stores = new Map<string, CheckpointStore>();
  const original = writeOnnx(model);
  const recipes = [];
  for (const steps of [[PRUNE], [PRUNE, QUANTIZE]] as Step[][]) {
    const { input } = inputWith(stores, steps);
    const request = validateRecipe(input.request, input.model, input.dataset!.description);
    const setting = { ...input, request, original: { model, sha256: sha256(original) }, warn: () => undefined };
    recipes.push({ files: (await runSteps(setting)).steps.map(({ bytes }) => bytes), exports: [] });
  }
  const setting = {
    original,
    dataset: clouds({ samples: 200 }),
    transform: {},
    seed: 4,
    threads: 1,
    latencyBudgetMs: 1,
  };
  const together = await measureRecipes(setting, recipes);
  expect(together.map(({ measures }) => measures.length)).toEqual([2, 3]);
  expect(together[1]!.measures[1]).toBe(together[0]!.measures[1]); // the same file: measured once
  for (const [i, recipe] of recipes.entries()) {
    const [alone] = await measureRecipes(setting, [recipe]);
    const figures = ({ latencyMs: _timed, ...rest }: (typeof together)[0]['measures'][0]) => rest;
    expect(together[i]!.measures.map(figures)).toEqual(alone!.measures.map(figures));
  }
});
