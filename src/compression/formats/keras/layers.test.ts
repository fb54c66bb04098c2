/**
 * Every layer in the forms its options take, as Keras 3 wrote them (test/generators/make-keras-layers.py: one model
 * holds all cases of a group), in onnxruntime against what Keras computed; and the list of Keras's own classes against
 * the tables here.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { writeOnnx } from '../onnx/write.ts';
import { readModel } from '../read-model.ts';
import { KERAS_LAYERS } from './layers.ts';
import { REFUSED_LAYERS } from './refused.ts';

/** `data`: every `step`-th value, row by row. */
interface Sample {
  readonly shape: number[];
  readonly step: number;
  readonly data: number[];
}
interface Reference {
  readonly inputs: Sample[];
  readonly outputs: Sample[];
}

const folder = join(import.meta.dirname, '../../../../test/data/keras/layers');
const models = readdirSync(folder)
  .filter((name) => /\.(keras|h5)\.gz$/.test(name))
  .sort();

/** Keras computes in float32 too, in another order of additions. */
const TOLERANCE = 2e-5;

it.each(models)('%s computes what Keras computed', async (file) => {
  const { inputs, outputs } = JSON.parse(
    gunzipSync(readFileSync(join(folder, file.replace(/\.(keras|h5)\.gz$/, '.json.gz')))).toString(),
  ) as Reference;
  const { model } = await readModel(readFileSync(join(folder, file)));
  const session = await ort.InferenceSession.create(writeOnnx(model), { logSeverityLevel: 3 });
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
  expect(model.graph.outputs).toHaveLength(outputs.length);
  model.graph.outputs.forEach(({ name, type }, i) => {
    const { shape, step, data } = outputs[i]!;
    const actual = results[name]!;
    expect({ name, shape: [...actual.dims] }).toEqual({ name, shape });
    expect(
      type?.shape?.every((size, axis) => typeof size !== 'number' || size === shape[axis]),
      `${name} declares its shape rightly`,
    ).toBe(true);
    const values = Array.from(actual.data as Float32Array, Number).filter((_, at) => at % step === 0);
    const range = Math.max(1, ...data.map(Math.abs));
    const worst = Math.max(...values.map((value, at) => Math.abs(value - data[at]!)));
    expect(worst / range, `output ${i} (${name}) differs by ${worst} of ${range}`).toBeLessThan(TOLERANCE);
  });
});

describe('keras.layers of Keras 3.15', () => {
  const classes = readFileSync(join(folder, '../layer-classes.txt'), 'utf8').trim().split('\n');

  it.each(classes)('%s is read, or refused with a reason', (name) => {
    expect(KERAS_LAYERS.has(name) !== REFUSED_LAYERS.has(name)).toBe(true);
  });
});
