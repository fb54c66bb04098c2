/** A compressed graph -> the TF.js layers-model it was read from, with new weights. */
import type { Model } from '../../../graph/types.ts';
import type { Config } from '../../keras/layer.ts';
import type { Kept } from '../../keras/write/collect.ts';
import { restore } from '../../keras/write/restore.ts';
import { readManifest, type TfjsWeight } from '../manifest.ts';
import { readTfjs } from '../read.ts';
import { shardWeights, type ShardPrecision } from './shards.ts';

/**
 * The members of the archive: model.json, with everything but the weights as uploaded unless channels were removed, and shards.
 * @param kept what is left of initializers that lost channels
 * @throws LatheError `unsupported-operator` where the graph was changed in a way that the topology cannot say.
 */
export async function writeLayersModel(members: ReadonlyMap<string, Uint8Array>, model: Model, precision: ShardPrecision, kept: Kept = new Map()): Promise<Map<string, Uint8Array>> {
  const { arrays, topology } = await restore((reading) => readTfjs(members, reading).model, model, kept);
  const json = withTopology(modelJson(members), topology);
  const weights = [...readManifest(json['weightsManifest'], members).values()].map(({ name, dtype, dims, values }) => ({ name, dtype, dims: arrays.get(name)?.dims ?? dims, data: arrays.get(name)?.values ?? values }));
  const { manifest, shards } = shardWeights(weights, precision);
  return new Map([['model.json', new TextEncoder().encode(JSON.stringify({ ...json, weightsManifest: manifest }))], ...shards]);
}

/** The topology lies in `model_config` where Keras exported the file. */
function withTopology(json: Record<string, unknown>, topology: Config | null): Record<string, unknown> {
  if (!topology) return json;
  const old = json['modelTopology'] as Config;
  return { ...json, modelTopology: old['model_config'] === undefined ? topology : { ...old, model_config: topology } };
}

/** The form that most of the upload's weights are stored in. */
export function shardPrecision(members: ReadonlyMap<string, Uint8Array>): ShardPrecision {
  const elements = new Map<ShardPrecision, number>();
  for (const { values, quantization } of readManifest(modelJson(members)['weightsManifest'], members).values() as Iterable<TfjsWeight>) {
    const form = quantization ?? 'float32';
    elements.set(form, (elements.get(form) ?? 0) + values.length);
  }
  return [...elements].sort(([, a], [, z]) => z - a)[0]?.[0] ?? 'float32';
}

const modelJson = (members: ReadonlyMap<string, Uint8Array>): Record<string, unknown> => JSON.parse(new TextDecoder().decode(members.get('model.json'))) as Record<string, unknown>;
