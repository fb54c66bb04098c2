/** A model input that is a single number, such as a sampling rate, from an array without axes in the dataset. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import yazl from 'yazl';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { datasetProblems } from '../../../src/compression/data/match.ts';
import { openDataset } from '../../../src/compression/data/open.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { measureModels } from '../../../src/compression/measure/measure.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { contextFor, initialState } from '../../support/steps.ts';

let folder: string;
beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'lathe-scalars-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** NumPy's format 1.0, written by hand: `descr` and the shape as Python has them. */
function npy(descr: string, shape: string, data: ArrayBufferView): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    length,
    Buffer.from(padded),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

const SAMPLES = 40;
const x = spread(SAMPLES * 4);
/** The target: the sign of the first feature. */
const y = Int32Array.from({ length: SAMPLES }, (_, i) => (x[i * 4]! > 0 ? 1 : 0));

async function npz(name: string, rate: Buffer): Promise<Dataset> {
  const zip = new yazl.ZipFile();
  const arrays = { x: npy('<f4', `(${SAMPLES}, 4)`, x), y: npy('<i4', `(${SAMPLES},)`, y), sr: rate };
  for (const [array, bytes] of Object.entries(arrays)) zip.addBuffer(bytes, `${array}.npy`);
  zip.end();
  const path = join(folder, `${name}.npz`);
  await pipeline(zip.outputStream, createWriteStream(path));
  return openDataset(path, {});
}

/** x [n, 4], sr [] int64: y = x W * (sr / 16000). */
const model = modelOf({
  nodes: [
    makeNode('MatMul', ['x', 'w'], ['h']),
    makeNode('Cast', ['sr'], ['hertz'], { to: 1 }),
    makeNode('Div', ['hertz', 'unit'], ['factor']),
    makeNode('Mul', ['h', 'factor'], ['y']),
  ],
  initializers: [tensor('w', [4, 2], spread(8, 3)), tensor('unit', [], [16_000])],
  inputs: [value('sr', [], 'int64'), value('x', ['n', 4])],
  outputs: [value('y', ['n', 2])],
});

test.each([
  ['an array without axes', npy('<i8', '()', new BigInt64Array([16_000n]))],
  ['the same number for each sample', npy('<i8', `(${SAMPLES},)`, new BigInt64Array(SAMPLES).fill(16_000n))],
])('%s is taken: the model is trained and measured', async (name, rate) => {
  const dataset = await npz(name, rate);
  expect(dataset.description.inputs).toContainEqual({ name: 'sr', dtype: 'int64', shape: [] });
  expect(datasetProblems(describeModel(model, 'onnx'), dataset.description)).toEqual([]);
  const context = { ...contextFor(model, dataset), transform: { scale: 0.5 } }; // scales x alone
  const after = await retrain(initialState(model), { epochs: 30, training: { learningRate: 0.1 } }, context);
  const [original, trained] = await measureModels({
    original: writeOnnx(model),
    candidates: [writeOnnx(after.model)],
    dataset,
    transform: context.transform,
    seed: 1,
    latencyBudgetMs: 20,
  });
  expect(trained!.accuracy!.loss).toBeLessThan(original!.accuracy!.loss);
  expect(trained!.latencyMs!.batch).toBe(1);
  await dataset.close();
});

test('numbers that differ from sample to sample are refused', async () => {
  const dataset = await npz(
    'different',
    npy(
      '<i8',
      `(${SAMPLES},)`,
      BigInt64Array.from({ length: SAMPLES }, (_, i) => BigInt(i)),
    ),
  );
  await expect(retrain(initialState(model), { epochs: 1 }, contextFor(model, dataset))).rejects.toMatchObject({
    code: 'shape-mismatch',
    message: expect.stringContaining('"sr" is a single number') as string,
  });
  await dataset.close();
});
