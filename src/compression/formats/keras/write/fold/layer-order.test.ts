/** Keras wrote the files of test/data: the order of the layers in each is its own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../../../../../process/entry.ts';
import { unpackZip } from '../../../archive.ts';
import { modelConfig } from '../../config.ts';
import type { Config } from '../../layer.ts';
import { layerOrder } from './layer-order.ts';
import { findPairs } from './pairs.ts';
import { inOrder, layersOf, withoutNormalizations } from './rewire.ts';

const folder = join(projectRoot, 'test', 'data', 'keras');
const archive = async (file: string): Promise<Config> =>
  JSON.parse(Buffer.from((await unpackZip(readFileSync(join(folder, file)))).get('config.json')!).toString()) as Config;
const names = (model: Config): string[] => layersOf(model).map(({ config }) => String((config as Config)['name']));

it.each(readdirSync(folder).filter((file) => file.endsWith('.keras')))('%s', async (file) => {
  const model = await archive(file);
  if (model['class_name'] !== 'Sequential') expect(layerOrder(modelConfig(model))).toEqual(names(model));
});

it('a branch that has lost a layer is nearer to the outputs', async () => {
  const model = await archive('folding.keras');
  const config = modelConfig(model);
  const facts = { arrays: () => [], rank: () => 4 };
  expect(findPairs(config, facts, true)).toEqual([]); // no arrays are known
  const [norm, product] = ['batch_normalization', 'conv2d'].map(
    (className) => config.layers.find(({ name }) => name === className)!,
  );
  const bare = withoutNormalizations(model, [{ norm: norm!, product: product! }]);
  const ordered = inOrder(bare, layerOrder(modelConfig(bare)));
  const convolutions = (of: Config) => names(of).filter((name) => /^conv2d(_1)?$/.test(name));
  expect([convolutions(bare), convolutions(ordered)]).toEqual([
    ['conv2d', 'conv2d_1'],
    ['conv2d_1', 'conv2d'],
  ]);
});
