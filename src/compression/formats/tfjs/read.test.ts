/**
 * Files that the TF.js converter wrote (test/generators/make-tfjs-models.py): graph-models against the outputs that
 * TensorFlow computed for them, layers-models against TF.js, which places the pixels of a resized image elsewhere than
 * Keras.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { runLayersModel, type Sample } from '../../../../test/support/tfjs-runtime.ts';
import { tf } from '../../tensor/tf.ts';
import { unpackZip } from '../archive.ts';
import { writeOnnx } from '../onnx/write.ts';
import { readModel } from '../read-model.ts';
import { readTfjs } from './read.ts';

interface Reference {
  readonly inputs: Sample[];
  readonly outputs: Record<string, Sample>;
}

const folder = join(import.meta.dirname, '../../../../test/data/tfjs');
const load = (name: string): Uint8Array => readFileSync(join(folder, name));

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe.each([
  ['layers-float32', 'tfjs-layers'],
  ['layers-float16', 'tfjs-layers'],
  ['layers-uint8', 'tfjs-layers'],
  ['layers-uint16', 'tfjs-layers'],
  ['graph-cnn', 'tfjs-graph'],
  ['graph-numeric', 'tfjs-graph'],
])('%s', (name, expectedFormat) => {
  it('computes what its own runtime computes', async () => {
    const { model, format } = await readModel(load(`${name}.zip`));
    expect(format).toBe(expectedFormat);
    const { inputs, outputs } = JSON.parse(load(`${name}.json`).toString()) as Reference;
    const session = await ort.InferenceSession.create(writeOnnx(model));
    const { shape, data } = inputs[0]!;
    const results = await session.run({
      [model.graph.inputs[0]!.name]: new ort.Tensor('float32', Float32Array.from(data), shape),
    });
    if (format === 'tfjs-layers')
      outputs['classes'] = await runLayersModel(await unpackZip(load(`${name}.zip`)), inputs[0]!);
    const names = Object.keys(outputs);
    expect(model.graph.outputs).toHaveLength(names.length);
    for (const key of names) {
      const result = results[names.length === 1 ? model.graph.outputs[0]!.name : key];
      expect([key, result?.dims]).toEqual([key, outputs[key]!.shape]);
      Array.from(result!.data as Float32Array).forEach((value, i) =>
        expect(Math.abs(value - outputs[key]!.data[i]!)).toBeLessThan(
          1e-5 * Math.max(1, Math.abs(outputs[key]!.data[i]!)),
        ),
      );
    }
  });
});

it('takes the paths of shards as relative to model.json', async () => {
  const members = await unpackZip(load('layers-float32.zip'));
  const json = Buffer.from(members.get('model.json')!).toString();
  const shard = [...members.keys()].find((path) => path.endsWith('.bin'))!;
  const moved = new Map(members)
    .set('model.json', Buffer.from(json.replaceAll(`"${shard}"`, `"./shards/../shards/${shard}"`)))
    .set(`shards/${shard}`, members.get(shard)!);
  moved.delete(shard);
  const weightsOf = (from: ReadonlyMap<string, Uint8Array>) => [...readTfjs(from).model.graph.initializers.values()];
  expect(weightsOf(moved)).toEqual(weightsOf(members));
});

describe('what is refused', () => {
  it('names the shard that is missing', async () => {
    const members = await unpackZip(load('layers-float32.zip'));
    const shard = [...members.keys()].find((path) => path.endsWith('.bin'))!;
    members.delete(shard);
    expect(() => readTfjs(members)).toThrow(
      expect.objectContaining({ code: 'malformed-model', message: expect.stringContaining(shard) as string }),
    );
  });

  it('names the weight that a truncated shard cuts', async () => {
    const members = await unpackZip(load('graph-cnn.zip'));
    const shard = [...members.keys()].find((path) => path.endsWith('.bin'))!;
    members.set(shard, members.get(shard)!.subarray(0, 100));
    expect(() => readTfjs(members)).toThrow(
      expect.objectContaining({
        code: 'malformed-model',
        message: expect.stringMatching(/weights ".+": needs \d+ bytes/) as string,
      }),
    );
  });

  it('names an operator it does not know', () => {
    const graph = {
      node: [
        {
          name: 'x',
          op: 'Placeholder',
          attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [{ size: '2' }] } } },
        },
        { name: 'odd', op: 'PyFunc', input: ['x'] },
      ],
    };
    const members = new Map([
      ['model.json', new TextEncoder().encode(JSON.stringify({ modelTopology: graph, weightsManifest: [] }))],
    ]);
    expect(() => readTfjs(members)).toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message: expect.stringContaining('"odd" (PyFunc)') as string,
      }),
    );
  });
});
