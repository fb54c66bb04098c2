/** Training fed by threads, with augmentation: the same weights whatever the number of workers, and figures of it. */
import { beforeAll, expect, it } from 'vitest';
import { arrayDataset } from '../../../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../../../src/compression/data/array-store.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { seededRandom } from '../../../src/compression/data/random.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { apply } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { Loader } from '../../../src/contracts/job-request.ts';
import { perceptron } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

const FEATURES = 4;

/** Class 1 where the first two features sum to more than 0. */
function table(samples: number): Dataset {
  const random = seededRandom(4);
  const x = Float32Array.from({ length: samples * FEATURES }, () => random() * 2 - 1);
  const y = BigInt64Array.from({ length: samples }, (_, i) => BigInt(x[i * FEATURES]! + x[i * FEATURES + 1]! > 0));
  const inputs = new Map([['x', arrayFrom('float32', [samples, FEATURES], x)]]);
  return arrayDataset('npz', new Map([['train', { inputs, target: arrayFrom('int64', [samples], y) }]]), { name: 'y' });
}

async function retrained(loader: Loader): Promise<{ bytes: Uint8Array; context: TestContext }> {
  const model = perceptron({ features: FEATURES, hidden: 8, classes: 2 });
  const context = contextFor(model, table(400), { loader });
  const state = await apply(initialState(model), { epochs: 3 }, context);
  return { bytes: writeOnnx(state.model), context };
}

beforeAll(() => startEngine('wasm', { threads: 1 }));

it('gives the same weights whatever the number of workers, with mixed targets', async () => {
  const augment: Loader['augment'] = [{ kind: 'noise' }, { kind: 'scale' }, { kind: 'mixup' }];
  const { bytes, context } = await retrained({ numWorkers: 0, augment });
  for (const numWorkers of [2, 'auto'] as const)
    expect((await retrained({ numWorkers, augment })).bytes, String(numWorkers)).toEqual(bytes);
  expect((await retrained({ numWorkers: 0 })).bytes).not.toEqual(bytes);
  const epochs = context.progress.filter(({ endOfEpoch }) => endOfEpoch);
  expect(epochs.at(-1)!.metrics!['validation.top1']).toBeGreaterThan(0.8); // learned, though on mixtures
});

it('reports the workers and the share of the time that training waited', async () => {
  const { context } = await retrained({ numWorkers: 2 });
  const { loader } = context.evidence.at(-1)!;
  expect(loader).toMatchObject({ asked: 2, numWorkers: 2 });
  expect(loader!.waitShare).toBeGreaterThan(0);
  expect(loader!.waitShare).toBeLessThan(1);
  const shares = context.progress.map(({ metrics }) => metrics?.['loader.waitShare']);
  expect(shares.every((share) => share !== undefined && share > 0 && share < 1)).toBe(true);
  expect((process.report.getReport() as { workers: unknown[] }).workers).toEqual([]);
});
