/**
 * Normalizations folded into the layers before them, in every format that has layers: fewer of them, the same results.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { halved } from '../../../test/support/halved.ts';
import { runLayersModel, type Sample } from '../../../test/support/tfjs-runtime.ts';
import { projectRoot } from '../../process/entry.ts';
import type { Model } from '../ir/types.ts';
import { largestDifference } from '../recipe/folded-file.ts';
import { tf } from '../tensor/tf.ts';
import { unpackZip } from './archive.ts';
import { readModel } from './read-model.ts';
import { readManifest } from './tfjs/manifest.ts';
import { writeOwnFormat } from './write-model.ts';

const data = (...path: string[]): string => join(projectRoot, 'test', 'data', ...path);
const normalizations = ({ graph }: Model): string[] =>
  [
    ...new Set(
      graph.nodes
        .filter(({ opType }) => opType === 'BatchNormalization')
        .map(({ name }) => name.split('/')[0]!.replace(/__\d+$/, '')),
    ),
  ].sort();

/** Normalizations that stay; of `folding`, those that say so. */
const STAY: Readonly<Record<string, readonly string[]>> = {
  chain: ['batch_normalization_1'],
  cnn: ['batch_normalization'],
  nested: ['batch_normalization_1'],
  towers: [], // behind an activation
  joins: ['batch_normalization_3', 'batch_normalization_4'], // behind a sum and a concatenation
  'keras2-folding': ['batch_normalization_4', 'batch_normalization_6'], // behind an activation and a pooling
  folding: ['activated', 'first', 'in_tower', 'output', 'over_steps', 'shared'].map((name) => `stays_${name}`),
};
const stay = (file: string): readonly string[] => STAY[basename(file).split('.')[0]!]!;
const KERAS = [
  ...readdirSync(data('keras')).filter((name) => /\.(keras|h5)$/.test(name) && stay(name)),
  'layers/keras2-folding.h5.gz',
];

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe.each(KERAS)('Keras %s', (file) => {
  it('reads back with fewer layers, and computes what it did', async () => {
    const upload = readFileSync(data('keras', file));
    const { model, format } = await readModel(upload);
    const written = (await writeOwnFormat(upload, format, model, { storage: 'own', kept: new Map(), fold: true }))!;
    const back = await readModel(written.bytes);
    expect([back.format, written.folded.length > 0]).toEqual([
      format,
      normalizations(back.model).length < normalizations(model).length,
    ]);
    expect(normalizations(back.model)).toEqual(stay(file));
    expect(await largestDifference(model, back.model)).toBeLessThan(1e-5); // float32, rounded elsewhere
  });

  it('does so at half its channels', async () => {
    const upload = readFileSync(data('keras', file));
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    const back = await readModel(
      (await writeOwnFormat(upload, format, smaller, { storage: 'own', kept, fold: true }))!.bytes,
    );
    expect(normalizations(back.model)).toEqual(stay(file));
    expect(await largestDifference(smaller, back.model)).toBeLessThan(1e-5);
  });
});

describe('a TF.js layers-model', () => {
  const file = (name: string): string => data('tfjs', name);
  const sample = (name: string): Sample =>
    (JSON.parse(readFileSync(file(name), 'utf8')) as { inputs: Sample[] }).inputs[0]!;

  it.each([
    ['layers-folding', 1],
    ['layers-float32', 0],
  ])('%s computes in TF.js what it did', async (name, left) => {
    const upload = readFileSync(file(`${name}.zip`));
    const { model, format } = await readModel(upload);
    const written = (await writeOwnFormat(upload, format, model, { storage: 'float32', kept: new Map(), fold: true }))!;
    const back = await readModel(written.bytes);
    expect([back.format, normalizations(back.model).length]).toEqual(['tfjs-layers', left]);
    expect(await largestDifference(model, back.model)).toBeLessThan(1e-5);
    const input = sample(`${name}.json`);
    const [was, is] = [
      await runLayersModel(await unpackZip(upload), input),
      await runLayersModel(await unpackZip(written.bytes), input),
    ];
    expect(is.shape).toEqual(was.shape);
    is.data.forEach((value, i) => expect(Math.abs(value - was.data[i]!)).toBeLessThan(1e-5));
  });

  it('is coded after it was folded: codes span the folded kernel', async () => {
    const upload = readFileSync(file('layers-folding.zip'));
    const { model, format } = await readModel(upload);
    const kernels = async (storage: 'float32' | 'uint8') => {
      const { bytes } = (await writeOwnFormat(upload, format, model, { storage, kept: new Map(), fold: true }))!;
      return readManifest(
        (
          JSON.parse(Buffer.from((await unpackZip(bytes)).get('model.json')!).toString()) as {
            weightsManifest: unknown;
          }
        ).weightsManifest,
        await unpackZip(bytes),
      ).get('first/kernel')!;
    };
    const [exact, coded] = [await kernels('float32'), await kernels('uint8')];
    const range = Math.max(0, ...exact.values) - Math.min(0, ...exact.values);
    expect([exact.quantization, coded.quantization]).toEqual([null, 'uint8']);
    // half a step, and the zero moved by as much
    exact.values.forEach((value, i) => expect(Math.abs(value - coded.values[i]!)).toBeLessThan(range / 255));
  });
});
