import { expect, test } from 'vitest';
import type { Step } from '../../contracts/job-request.ts';
import { clouds, perceptron } from '../../../test/support/models.ts';
import { initialState } from '../../../test/support/steps.ts';
import { specOf } from '../techniques/registry.ts';
import { stepKey, type StepInputs } from './step-key.ts';

const step = (parameters: object): Step => ({ technique: 'retrain', epochs: 1, ...parameters });
const base: StepInputs = {
  spec: specOf('retrain')!,
  step: step({}),
  request: { seed: 1 },
  before: { state: initialState(perceptron({})), sha256: 'a' },
  originalSha256: 'b',
  dataset: clouds({ samples: 20 }),
  datasetSource: { sha256: 'c', options: {} },
  loadModelBytes: (id) => Promise.resolve(Buffer.from(id)),
};
const pruned: StepInputs = { ...base, spec: specOf('prune-weights')!, step: { technique: 'prune-weights' } };
const taught = (teacher: string): StepInputs => ({
  ...base,
  spec: specOf('distill')!,
  step: { technique: 'distill', teacher },
});

test('a key is 32 bytes, whatever the order of members and of sets', async () => {
  const key = await stepKey(base);
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(await stepKey({ ...base, step: { epochs: 1, technique: 'retrain' } })).toBe(key);
  const zeros = (names: string[]) => ({ ...base.before.state, frozenZeros: new Set(names) });
  expect(await stepKey({ ...base, before: { sha256: 'a', state: zeros(['v', 'w']) } })).toBe(
    await stepKey({ ...base, before: { sha256: 'a', state: zeros(['w', 'v']) } }),
  );
});

test.each<[string, Partial<StepInputs>]>([
  ['the technique', { step: { technique: 'distill', epochs: 1 } }],
  ['its version', { spec: { ...base.spec, version: 99 } }],
  ['its parameters', { step: step({ epochs: 2 }) }],
  ['the model before', { before: { ...base.before, sha256: 'x' } }],
  ['its frozen zeros', { before: { sha256: 'a', state: { ...base.before.state, frozenZeros: new Set(['w1']) } } }],
  ['its channels', { before: { sha256: 'a', state: { ...base.before.state, kept: new Map([['w1', [[0, 2]]]]) } } }],
  ['whether it is quantized', { before: { sha256: 'a', state: { ...base.before.state, quantized: true } } }],
  ['the seed', { request: { seed: 2 } }],
  ['training settings', { request: { seed: 1, training: { batchSize: 7 } } }],
  ['the loader', { request: { seed: 1, loader: { numWorkers: 0 } } }],
  ['the transform', { request: { seed: 1, transform: { scale: 2 } } }],
  ['the dataset', { datasetSource: { sha256: 'x', options: {} } }],
  ['how it was opened', { datasetSource: { sha256: 'c', options: { target: 'y' } } }],
  ['what is in it', { dataset: clouds({ samples: 30 }) }],
  ['that there is none', { dataset: null }],
])('another key follows from %s', async (_name, change) => {
  expect(await stepKey({ ...base, ...change })).not.toBe(await stepKey(base));
});

test('the uploaded model counts where the technique looks at it, a teacher with its bytes', async () => {
  const elsewhere = { originalSha256: 'x' };
  expect(await stepKey({ ...base, ...elsewhere })).toBe(await stepKey(base));
  expect(await stepKey({ ...pruned, ...elsewhere })).not.toBe(await stepKey(pruned));
  expect(await stepKey({ ...taught('original'), ...elsewhere })).not.toBe(await stepKey(taught('original')));
  expect(await stepKey({ ...taught('mdl_9'), ...elsewhere })).toBe(await stepKey(taught('mdl_9')));
  const other = { loadModelBytes: () => Promise.resolve(Buffer.from('another file')) };
  expect(await stepKey({ ...taught('mdl_9'), ...other })).not.toBe(await stepKey(taught('mdl_9')));
});
