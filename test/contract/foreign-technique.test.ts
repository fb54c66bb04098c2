/** Adding a technique takes its own folder and one `register`: nothing else in Lathe knows techniques by name. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { Type } from 'typebox';
import { beforeAll, expect, test } from 'vitest';
import { listTechniques } from '../../src/api/routes/techniques/list-techniques.ts';
import type { App } from '../../src/api/types.ts';
import { validatorCompiler } from '../../src/api/validation.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { readModel } from '../../src/compression/formats/read-model.ts';
import { describeModel } from '../../src/compression/graph/describe.ts';
import { fromHost, toHost } from '../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../src/compression/ir/types.ts';
import { runRecipe, type RecipeInput } from '../../src/compression/recipe/run.ts';
import { validateRecipe } from '../../src/compression/recipe/validate.ts';
import { kernelWeights, replaceWeights } from '../../src/compression/techniques/kernel-weights.ts';
import { register } from '../../src/compression/techniques/registry.ts';
import type { Technique, TechniqueSpec } from '../../src/compression/techniques/technique.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import type { JobRequest, Step } from '../../src/contracts/job-request.ts';
import type { ModelDescription } from '../../src/contracts/model.ts';
import { estimate } from '../../src/jobs/estimate.ts';
import { clouds, perceptron } from '../support/models.ts';
import { memoryCheckpoints } from '../support/steps.ts';

const Parameters = Type.Object(
  { grid: Type.Number({ exclusiveMinimum: 0, default: 0.25, description: 'weights become multiples of it' }) },
  { additionalProperties: false },
);

const spec: TechniqueSpec<typeof Parameters> = {
  name: 'round-weights',
  version: 7,
  summary: 'Rounds every kernel weight to a grid.',
  parameters: Parameters,
  neutral: { grid: 2 ** -40 },
  needs: () => ({ data: 'none', trainable: false }),
  changesFloatWeights: () => true,
  cost: (_parameters, { kernelLayers }) => 100 * kernelLayers,
  contradictsAfter: (_parameters, { technique }) =>
    technique === 'cluster' ? 'a rounded codebook is no codebook of that step any more' : null,
};

const apply: Technique<typeof Parameters>['apply'] = (state, { grid }, { signal }) => {
  signal.throwIfAborted();
  const rounded = kernelWeights(state.model).map(({ place, tensor }) => {
    const host = toHost(tensor);
    const data = Float32Array.from(host.data as Float32Array, (value) => Math.round(value / grid) * grid);
    return [place, { ...tensor, bytes: fromHost(tensor.name, { ...host, data }).bytes }] as const;
  });
  return Promise.resolve({ ...state, model: replaceWeights(state.model, new Map(rounded)) });
};

const model = perceptron({ hidden: 32, activation: 'Softmax' });
const description: ModelDescription = { ...describeModel(model, 'onnx'), trainable: true, untrainable: [] };
const request = (...steps: Step[]): JobRequest => ({
  model: 'mdl_1',
  seed: 1,
  steps,
  export: [{ format: 'tfjs-graph' }],
});

function input(steps: Step[]): RecipeInput {
  const stores = steps.map(() => memoryCheckpoints());
  return {
    modelBytes: writeOnnx(model),
    request: request(...steps),
    model: description,
    dataset: clouds({ samples: 100 }),
    loadModelBytes: () => Promise.reject(new Error('no other model')),
    checkpoints: (step) => stores[step]!,
    signal: new AbortController().signal,
    report: () => undefined,
    threads: 1,
    latencyMs: 1,
  };
}

/** All kernel weights, ascending: other formats have other names and layouts. */
const weightsOf = (of: Model): number[] =>
  kernelWeights(of)
    .flatMap(({ tensor }) => [...(toHost(tensor).data as Float32Array)])
    .map((value) => value + 0) // -0 is 0
    .sort((a, b) => a - b);
const ROUNDED = weightsOf(model).map((value) => Math.round(value / 0.25) * 0.25 + 0);

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
  register(spec, () => Promise.resolve({ apply }));
});

test('its name is its own', () => {
  expect(() => register(spec, () => Promise.resolve({ apply }))).toThrow(
    'There is a technique "round-weights" already',
  );
});

test('a recipe with it is validated by its spec', () => {
  const checked = (...steps: Step[]) => validateRecipe(request(...steps), description, null);
  expect(checked({ technique: 'round-weights' }).steps).toEqual([{ technique: 'round-weights', grid: 0.25 }]);
  expect(() => checked({ technique: 'round-weights', grid: -1 })).toThrow('/steps/0/grid');
  expect(() => checked({ technique: 'quantize' }, { technique: 'round-weights' })).toThrow(
    '/steps/1: already-quantized: round-weights changes float weights; put it before step 0',
  );
  expect(() => checked({ technique: 'cluster' }, { technique: 'round-weights' })).toThrow(
    '/steps/1: a rounded codebook is no codebook',
  );
  const half = { technique: 'quantize', precision: 'float16' };
  expect(checked(half, { technique: 'round-weights' }, { technique: 'quantize' }).steps).toHaveLength(3);
});

test('the estimate of a dry run counts its cost', () => {
  const { seconds, steps } = estimate(request({ technique: 'round-weights', grid: 1 }), description, null);
  expect(steps).toEqual([{ technique: 'round-weights', seconds: 203 }]); // two kernels, 3 s that every step takes
  expect(seconds).toBe(208); // and 5 s for the job
});

test('it runs as a step, with its file, its export, its place in report and manifest', async () => {
  const { report, files } = await runRecipe(
    input([{ technique: 'round-weights' }, { technique: 'quantize', precision: 'float16' }]),
  );
  expect(files.map(({ name }) => name)).toEqual([
    'step-1-round-weights.onnx',
    'model.onnx',
    'model.tfjs.zip',
    'manifest.json',
  ]);
  expect(weightsOf((await readModel(files[0]!.bytes)).model)).toEqual(ROUNDED);
  expect(weightsOf((await readModel(files[2]!.bytes)).model)).toEqual(ROUNDED); // float16 holds quarters exactly
  expect(report.steps.map(({ technique }) => technique)).toEqual(['round-weights', 'quantize']);
  expect(report.steps[0]!.after.nonZero).toBeLessThan(report.before.nonZero);
  expect(report.exports).toMatchObject([{ format: 'tfjs-graph', weights: 'float16' }]);
  const { techniques } = JSON.parse(new TextDecoder().decode(files[3]!.bytes)) as { techniques: object };
  expect(techniques).toEqual({ 'round-weights': 7, quantize: 1 });
});

test('the API lists it with the schema of its step', async () => {
  const app: App = Fastify().withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(validatorCompiler as never).setSerializerCompiler(() => (data) => JSON.stringify(data));
  listTechniques(app);
  const answer = await app.inject({ url: '/techniques/round-weights' });
  expect(answer.json()).toMatchObject({
    name: 'round-weights',
    version: 7,
    parameters: { properties: { technique: { const: 'round-weights' }, grid: { default: 0.25 } } },
  });
  expect((await app.inject({ url: '/techniques' })).body).toContain('"round-weights"');
  await app.close();
});
