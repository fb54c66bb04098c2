/** Files that Keras 3 wrote (test/generators/make-keras-models.py), against the outputs that Keras computed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { walkNodes } from '../../ir/edit.ts';
import type { Model } from '../../ir/types.ts';
import { writeOnnx } from '../onnx/write.ts';
import { readModel } from '../read-model.ts';
import { convertKeras } from './convert.ts';

interface Sample {
  readonly shape: number[];
  readonly data: number[];
}
interface Reference {
  readonly inputs: Sample[];
  readonly outputs: Sample[];
}

const folder = join(import.meta.dirname, '../../../../test/data/keras');
const load = (name: string): Uint8Array => readFileSync(join(folder, name));
const reference = (name: string): Reference => JSON.parse(load(`${name}.json`).toString()) as Reference;

async function run(model: Model, { inputs }: Reference): Promise<Sample[]> {
  const session = await ort.InferenceSession.create(writeOnnx(model));
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
  return model.graph.outputs.map(({ name }) => ({
    shape: [...results[name]!.dims],
    data: Array.from(results[name]!.data as Float32Array),
  }));
}

function transposes(model: Model): number {
  let count = 0;
  walkNodes(model.graph, ({ opType }) => {
    if (opType === 'Transpose') count++;
  });
  return count;
}

describe.each(['cnn', 'sequential', 'recurrent', 'attention', 'nested', 'volume', 'normalized'])('%s', (name) => {
  it.each(['keras', 'h5'])('read from .%s computes what Keras computed', async (extension) => {
    const { model, format } = await readModel(load(`${name}.${extension}`));
    expect(format).toBe(extension === 'h5' ? 'keras-h5' : 'keras');
    const expected = reference(name);
    const actual = await run(model, expected);
    expect(actual.map(({ shape }) => shape)).toEqual(expected.outputs.map(({ shape }) => shape));
    actual.forEach(({ data }, i) =>
      data.forEach((value, k) => expect(Math.abs(value - expected.outputs[i]!.data[k]!)).toBeLessThan(2e-5)),
    );
  });
});

it('puts transposes only where axes are mixed', async () => {
  const { model } = await readModel(load('cnn.keras'));
  // The image input; the shared-axes PReLU whose slopes lie in Keras's order. All convolutions between compute channels
  // first.
  expect(transposes(model)).toBeLessThanOrEqual(2);
});

describe('what is refused', () => {
  const sequential = (layer: object): Record<string, unknown> => ({
    class_name: 'Sequential',
    config: {
      name: 's',
      layers: [{ class_name: 'InputLayer', config: { batch_shape: [null, 4], name: 'in' } }, layer],
    },
  });
  const noModel = (): never => {
    throw new Error('no nested model');
  };
  const none = () => ({ arrays: () => [], nested: noModel, wrapped: noModel });

  it('names a Lambda layer and does not evaluate it', () => {
    const lambda = {
      class_name: 'Lambda',
      config: { name: 'sly', function: { class_name: '__lambda__', config: { code: 'ZXZpbA==' } } },
    };
    expect(() => convertKeras(sequential(lambda), { weights: none, kerasMajor: 3 })).toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message: expect.stringMatching(/"sly" \(Lambda\).*never evaluated/) as string,
      }),
    );
  });

  it('names a custom layer and its module', () => {
    const custom = { module: 'mine.layers', class_name: 'Swirl', config: { name: 'swirl' } };
    expect(() => convertKeras(sequential(custom), { weights: none, kerasMajor: 3 })).toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message: expect.stringContaining('mine.layers') as string,
      }),
    );
  });

  it('says which arrays a layer lacks', () => {
    const dense = { class_name: 'Dense', config: { name: 'd', units: 3 } };
    expect(() => convertKeras(sequential(dense), { weights: none, kerasMajor: 3 })).toThrow(
      expect.objectContaining({
        code: 'malformed-model',
        message: expect.stringMatching(/"d" \(Dense\).*no kernel/) as string,
      }),
    );
  });
});
