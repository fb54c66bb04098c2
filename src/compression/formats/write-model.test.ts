/** Every format back into itself: what was changed in the graph stands in the file, everything else as uploaded. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as h5wasm from 'h5wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { withWeights } from '../../../test/support/models.ts';
import { runLayersModel, type Sample } from '../../../test/support/tfjs-runtime.ts';
import { projectRoot } from '../../process/entry.ts';
import { foldBatchNorm } from '../graph/passes/fold-batch-norm.ts';
import { fromHost, toHost } from '../ir/tensor-data.ts';
import type { Model } from '../ir/types.ts';
import { openRuntime } from '../measure/session.ts';
import { tf } from '../tensor/tf.ts';
import { packZip, unpackZip } from './archive.ts';
import { writeOnnx } from './onnx/write.ts';
import { readModel } from './read-model.ts';
import { writeGraphModel, writeOwnFormat } from './write-model.ts';

const data = (...path: string[]): Uint8Array => readFileSync(join(projectRoot, 'test', 'data', ...path));
const layerFiles = readdirSync(join(projectRoot, 'test', 'data', 'keras', 'layers'))
  .filter((name) => /\.(keras|h5)\.gz$/.test(name))
  .map((name) => join('layers', name));
const KERAS = [
  ...layerFiles,
  ...['cnn', 'sequential', 'recurrent', 'attention', 'nested', 'volume'].flatMap((name) => [
    `${name}.keras`,
    `${name}.h5`,
  ]),
];

const move = (value: number, i: number): number => value * 0.75 + ((i % 7) - 3) / 64;
const moved = (model: Model): Model => withWeights(model, move);

const values = (model: Model): Record<string, number[]> =>
  Object.fromEntries(
    [...model.graph.initializers]
      .filter(([, { dtype }]) => dtype === 'float32')
      .map(([name, tensor]) => [name, Array.from(toHost(tensor).data as Float32Array)]),
  );

beforeAll(async () => {
  await tf.setBackend('cpu');
});

it('a zip opens to what was packed, and is the same every time', async () => {
  const members = new Map([
    ['a.json', Uint8Array.of(1, 2)],
    ['deep/b.bin', new Uint8Array(100_000)],
  ]);
  const zip = await packZip(members);
  expect(Buffer.compare(zip, await packZip(members))).toBe(0);
  expect([...(await unpackZip(zip))].map(([path, content]) => [path, content.length])).toEqual([
    ['a.json', 2],
    ['deep/b.bin', 100_000],
  ]);
});

it('ONNX needs no file of its own', async () => {
  const digits = readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx'));
  const { model, format } = await readModel(digits);
  expect(await writeOwnFormat(digits, format, model, { storage: 'own' })).toBeNull();
  const graph = await writeGraphModel(model, 'float32');
  expect((await readModel(graph.bytes)).format).toBe('tfjs-graph');
});

describe.each(KERAS)('Keras %s', (file) => {
  it('holds every changed weight, and reads back as the very same graph', async () => {
    const upload = data('keras', file);
    const { model, format } = await readModel(upload);
    const changed = moved(model);
    const written = await writeOwnFormat(upload, format, changed, { storage: 'own' });
    const back = await readModel(written!.bytes);
    expect([written!.format, back.format]).toEqual([format, format]);
    expect(values(back.model)).toEqual(values(changed));
    if (!/activation|pooling/.test(file)) expect(values(changed)).not.toEqual(values(model)); // layers without weights
    expect(back.model.graph.nodes).toEqual(model.graph.nodes);
  });
});

describe('a Keras file', () => {
  it('keeps its topology and metadata byte for byte', async () => {
    const upload = data('keras', 'cnn.keras');
    const { model, format } = await readModel(upload);
    const [before, after] = [
      await unpackZip(upload),
      await unpackZip((await writeOwnFormat(upload, format, moved(model), { storage: 'own' }))!.bytes),
    ];
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const member of ['config.json', 'metadata.json'])
      expect(Buffer.from(after.get(member)!).equals(before.get(member)!)).toBe(true);
  });

  it('is smaller where weights are zero or have 16 bits', async () => {
    const upload = data('keras', 'cnn.h5');
    const { model, format } = await readModel(upload);
    const wide = withWeights(model, (_, i) => Math.sin(i * 7919) + Math.cos(i * 104729) / 3);
    const size = async (changed: Model, storage: 'own' | 'float16') =>
      (await writeOwnFormat(upload, format, changed, { storage }))!.bytes.length;
    const full = await size(wide, 'own');
    expect(await size(wide, 'float16')).toBeLessThan(full);
    expect(
      await size(
        withWeights(wide, (value, i) => (i % 10 === 0 ? value : 0)),
        'own',
      ),
    ).toBeLessThan(full);
  });

  it('leaves the optimizer behind, whose state is that of other weights', async () => {
    const upload = await withOptimizer(data('keras', 'sequential.h5'));
    const { model, format } = await readModel(upload);
    const written = (await writeOwnFormat(upload, format, moved(model), { storage: 'own' }))!.bytes;
    expect([await rootMembers(upload), await rootMembers(written)]).toEqual([
      ['model_weights', 'optimizer_weights'],
      ['model_weights'],
    ]);
  });

  it('rounds to halves where asked', async () => {
    const upload = data('keras', 'sequential.keras');
    const { model, format } = await readModel(upload);
    const back = await readModel((await writeOwnFormat(upload, format, moved(model), { storage: 'float16' }))!.bytes);
    const kernel = toHost([...back.model.graph.initializers.values()].find(({ dims }) => dims.length === 3)!)
      .data as Float32Array;
    expect(new Uint32Array(kernel.slice().buffer).every((bits) => (bits & 0x1fff) === 0)).toBe(true);
  });

  it.each(['uint8', 'uint16'] as const)('has no %s', async (storage) => {
    const upload = data('keras', 'sequential.h5');
    const { model, format } = await readModel(upload);
    await expect(writeOwnFormat(upload, format, model, { storage })).rejects.toThrow(
      expect.objectContaining({
        code: 'unsupported-operator',
        message: expect.stringContaining('float weights only') as string,
      }),
    );
  });
});

describe('what a topology cannot say is refused', () => {
  const upload = data('keras', 'cnn.keras');
  const refused = async (change: (model: Model) => Model, message: RegExp) => {
    const { model, format } = await readModel(upload);
    await expect(writeOwnFormat(upload, format, change(model), { storage: 'own' })).rejects.toThrow(
      expect.objectContaining({ code: 'unsupported-operator', message: expect.stringMatching(message) as string }),
    );
  };

  it('operators that are gone or new', async () => {
    const nodes = (model: Model, change: (nodes: Model['graph']['nodes']) => Model['graph']['nodes']) => ({
      ...model,
      graph: { ...model.graph, nodes: change(model.graph.nodes) },
    });
    await refused(
      (model) =>
        nodes(model, (all) => all.map((node) => (node.opType === 'Relu' ? { ...node, opType: 'Sigmoid' } : node))),
      /Sigmoid was not in the uploaded model/,
    );
    await refused(
      (model) => nodes(model, (all) => all.filter(({ opType }) => opType !== 'PRelu')),
      /no longer in the model/,
    );
  });
  it('weights of another shape', () =>
    refused((model) => {
      const tensor = [...model.graph.initializers.values()].find(({ dims }) => dims.length === 4)!;
      const cut = fromHost(tensor.name, { dtype: 'float32', dims: [1, 1, 1, 1], data: Float32Array.of(1) });
      return {
        ...model,
        graph: { ...model.graph, initializers: new Map([...model.graph.initializers, [tensor.name, cut]]) },
      };
    }, /its shape changed from \[.*\] to \[1, 1, 1, 1\]/));
});

describe.each(['float32', 'float16', 'uint16', 'uint8'])('a TF.js layers-model of %s weights', (precision) => {
  it('comes back as one, in its own storage, and computes the same in TF.js and in onnxruntime', async () => {
    const upload = data('tfjs', `layers-${precision}.zip`);
    const { model, format } = await readModel(upload);
    const written = (await writeOwnFormat(upload, format, moved(model), { storage: 'own' }))!;
    expect([written.format, written.storage]).toEqual(['tfjs-layers', precision]);
    const back = (await readModel(written.bytes)).model;
    const { inputs } = JSON.parse(Buffer.from(data('tfjs', `layers-${precision}.json`)).toString()) as {
      inputs: Sample[];
    };
    const [inOrt, inTfjs] = [
      await runInOrt(back, inputs[0]!),
      (await runLayersModel(await unpackZip(written.bytes), inputs[0]!)).data,
    ];
    inOrt.forEach((value, i) => expect(Math.abs(value - inTfjs[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value))));
    const [lossless, changed] = [precision === 'float32', await runInOrt(moved(model), inputs[0]!)];
    changed.forEach((value, i) =>
      expect(Math.abs(value - inOrt[i]!)).toBeLessThan((lossless ? 1e-6 : 0.05) * Math.max(1, Math.abs(value))),
    );
  });
});

it('a layers-model whose graph was changed comes back as a graph-model', async () => {
  const upload = data('tfjs', 'layers-float32.zip');
  const { model, format } = await readModel(upload);
  const folded = foldBatchNorm(model);
  expect(folded).not.toBe(model);
  expect((await writeOwnFormat(upload, format, folded, { storage: 'own' }))!.format).toBe('tfjs-graph');
});

async function runInOrt(model: Model, { shape, data: input }: Sample): Promise<number[]> {
  const runtime = await openRuntime(writeOnnx(model));
  const outputs = await runtime.run(
    new Map([[runtime.inputs[0]!.name, { dtype: 'float32', shape, data: Float32Array.from(input) }]]),
  );
  await runtime.release();
  return Array.from(outputs.get(runtime.outputNames[0]!)!.data);
}

async function withOptimizer(bytes: Uint8Array): Promise<Uint8Array> {
  return inFile(bytes, 'a', (file) => {
    file
      .create_group('optimizer_weights')
      .create_dataset({ name: 'momentum:0', data: new Float32Array(4), shape: [4], dtype: '<f' });
    file.flush();
  });
}

async function rootMembers(bytes: Uint8Array): Promise<string[]> {
  let members: string[] = [];
  await inFile(bytes, 'r', (file) => {
    members = file.keys();
  });
  return members;
}

async function inFile(bytes: Uint8Array, mode: 'r' | 'a', use: (file: h5wasm.File) => void): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  FS.writeFile('test.h5', bytes);
  const file = new h5wasm.File('test.h5', mode);
  use(file);
  file.close();
  return FS.readFile('test.h5');
}
