/**
 * Models that lost channels, back in the format they were uploaded in: the smaller topology computes what the smaller
 * graph computes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { halved } from '../../../test/support/halved.ts';
import { runGraphModel, runLayersModel, type Sample } from '../../../test/support/tfjs-runtime.ts';
import { projectRoot } from '../../process/entry.ts';
import type { Model } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import { unpackZip } from './archive.ts';
import { writeOnnx } from './onnx/write.ts';
import { readModel } from './read-model.ts';
import { writeGraphModel, writeOwnFormat } from './write-model.ts';

const folder = (...path: string[]): string => join(projectRoot, 'test', 'data', ...path);
/** `volume` and `normalized` make nothing but their output, all of which stays. */
const KERAS = readdirSync(folder('keras')).filter(
  (name) => /\.(keras|h5)$/.test(name) && !/^(volume|normalized)/.test(name),
);

const elements = (model: Model): number =>
  [...model.graph.initializers.values()].reduce(
    (sum, { bytes, dtype }) => sum + (dtype === 'float32' ? bytes.length / 4 : 0),
    0,
  );

function samples(file: string): Sample[] {
  return (JSON.parse(readFileSync(file.replace(/\.\w+$/, '.json'), 'utf8')) as { inputs: Sample[] }).inputs;
}

async function outputs(model: Model, inputs: readonly Sample[]): Promise<Sample[]> {
  const session = await ort.InferenceSession.create(Buffer.from(writeOnnx(model)));
  const feeds = Object.fromEntries(
    model.graph.inputs.map(({ name, type }, i) => {
      const { shape, data } = inputs[i]!;
      return [
        name,
        type?.dtype === 'int32'
          ? new ort.Tensor('int32', Int32Array.from(data), shape)
          : new ort.Tensor('float32', Float32Array.from(data), shape),
      ];
    }),
  );
  const results = await session.run(feeds);
  return session.outputNames.map((name) => ({
    shape: [...results[name]!.dims],
    data: Array.from(results[name]!.data as Float32Array),
  }));
}

/** The largest difference, relative where values are above 1. */
function difference(actual: readonly Sample[], expected: readonly Sample[]): number {
  expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
  return Math.max(
    ...expected.flatMap(({ data }, o) =>
      data.map((value, i) => Math.abs(value - actual[o]!.data[i]!) / Math.max(1, Math.abs(value))),
    ),
  );
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe.each(KERAS)('Keras %s at half its channels', (file) => {
  it('reads back as a smaller model of the same results', async () => {
    const upload = readFileSync(folder('keras', file));
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    const written = await writeOwnFormat(upload, format, smaller, { storage: 'own', kept });
    const back = (await readModel(written!.bytes)).model;
    expect(elements(smaller)).toBeLessThan(elements(model));
    expect(elements(back)).toBe(elements(smaller));
    const inputs = samples(folder('keras', file));
    // float32, sums in another order
    expect(difference(await outputs(back, inputs), await outputs(smaller, inputs))).toBeLessThan(1e-5);
  });
});

describe.each(['layers-float32', 'layers-float16', 'graph-cnn'])('TF.js %s at half its channels', (name) => {
  it('reads back as a smaller model of the same results', async () => {
    const upload = readFileSync(folder('tfjs', `${name}.zip`));
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    expect(elements(smaller)).toBeLessThan(elements(model));
    const written = name.startsWith('layers')
      ? await writeOwnFormat(upload, format, smaller, { storage: 'float32', kept })
      : await writeGraphModel(smaller, 'float32');
    expect(written!.format).toBe(format);
    const inputs = samples(folder('tfjs', `${name}.zip`));
    const expected = await outputs(smaller, inputs);
    expect(difference(await outputs((await readModel(written!.bytes)).model, inputs), expected)).toBeLessThan(1e-5);
    if (name.startsWith('layers'))
      expect(
        difference([await runLayersModel(await unpackZip(written!.bytes), inputs[0]!)], expected.slice(0, 1)),
      ).toBeLessThan(1e-5);
  });
});

describe.each([
  'tfjs/graph-cnn.zip',
  'tfjs/layers-float32.zip',
  'keras/chain.keras',
  'keras/cnn.keras',
  'keras/transformer.keras',
  'tfjs/layers-folding.zip',
])('%s at half its channels, as a TF.js graph-model', (file) => {
  it('computes in TF.js what onnxruntime computes from the smaller graph', async () => {
    const { model } = await readModel(readFileSync(folder(file)));
    const { model: smaller } = halved(model);
    expect(elements(smaller)).toBeLessThan(elements(model));
    const inputs = samples(folder(file));
    const { bytes } = await writeGraphModel(smaller, 'float32');
    const names = smaller.graph.outputs.map(({ name }) => name);
    const named = new Map(smaller.graph.inputs.map(({ name }, i) => [name, inputs[i]!]));
    expect(
      difference(await runGraphModel(await unpackZip(bytes), named, names), await outputs(smaller, inputs)),
    ).toBeLessThan(1e-5); // float32, sums in another order
  });
});
