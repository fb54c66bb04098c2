import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../../process-entry.ts';
import { packZip, unpackZip } from './archive.ts';
import { readModel } from './read-model.ts';
import { writeModel, writtenFormat } from './write-model.ts';

const digits = readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx'));

it('a zip opens to what was packed, and is the same every time', async () => {
  const members = new Map([['a.json', Uint8Array.of(1, 2)], ['deep/b.bin', new Uint8Array(100_000)]]);
  const zip = await packZip(members);
  expect(Buffer.compare(zip, await packZip(members))).toBe(0);
  expect([...(await unpackZip(zip))].map(([path, content]) => [path, content.length])).toEqual([['a.json', 2], ['deep/b.bin', 100_000]]);
});

it('a TF.js zip is read as the format it was written in', async () => {
  const { model } = await readModel(digits);
  const again = await readModel(await writeModel(model, 'tfjs-graph'));
  expect(again.format).toBe('tfjs-graph');
  expect(again.model.graph.inputs.map(({ type }) => [type!.dtype, type!.shape!.slice(1)])).toEqual([['float32', [1, 28, 28]]]);
});

it('formats that are only read are known', () => {
  expect((['onnx', 'keras', 'keras-h5', 'tfjs-layers', 'tfjs-graph'] as const).map(writtenFormat)).toEqual(['onnx', null, null, 'tfjs-graph', 'tfjs-graph']);
});
