/** A compressed graph -> the TF.js layers-model it was read from, with new weights. */
import type { Model } from '../../../ir/types.ts';
import type { Config } from '../../keras/layer.ts';
import type { Kept } from '../../keras/write/collect.ts';
import { foldNormalizations, type Folded } from '../../keras/write/fold/fold.ts';
import type { NewArray } from '../../keras/write/new-array.ts';
import { restore, type Read } from '../../keras/write/restore.ts';
import { readManifest, type TfjsWeight } from '../manifest.ts';
import { readTfjs } from '../read.ts';
import { shardWeights, type ShardPrecision } from './shards.ts';
import type { TfWeight } from './tf-graph.ts';

export interface WrittenLayersModel {
  /** Of the archive: model.json and shards. */
  readonly members: Map<string, Uint8Array>;
  /** Names of the normalizations that were folded. */
  readonly folded: readonly string[];
}

export interface LayersModelOptions {
  readonly precision: ShardPrecision;
  readonly kept?: Kept;
  readonly fold?: boolean;
}

/**
 * Everything but the weights is as uploaded unless channels were removed, or normalizations folded.
 * @param kept the remaining indices of initializers that lost channels
 * @param fold whether to fold normalizations into the layers before them; weights are coded after that
 * @throws LatheError `unsupported-operator` where the topology cannot express the change.
 */
export async function writeLayersModel(
  members: ReadonlyMap<string, Uint8Array>,
  model: Model,
  { precision, kept = new Map(), fold = false }: LayersModelOptions,
): Promise<WrittenLayersModel> {
  const read: Read = (reading) => readTfjs(members, reading).model;
  const restored = await restore(read, model, kept);
  const folded = fold ? await foldNormalizations(read, restored, 'name') : null;
  const json = withTopology(modelJson(members), (folded ?? restored).topology);
  const weights = newWeights(
    readManifest(json['weightsManifest'], members).values(),
    (folded ?? restored).arrays,
    folded,
  );
  const { manifest, shards } = shardWeights(weights, precision);
  const written = new Map([
    ['model.json', new TextEncoder().encode(JSON.stringify({ ...json, weightsManifest: manifest }))],
    ...shards,
  ]);
  return { members: written, folded: folded?.normalizations ?? [] };
}

function newWeights(
  stored: Iterable<TfjsWeight>,
  arrays: ReadonlyMap<string, NewArray>,
  folded: Folded | null,
): TfWeight[] {
  return [...stored]
    .filter(({ name }) => !folded?.gone.has(name))
    .flatMap(({ name, dtype, dims, values }) => {
      const bias = folded?.biases.find(({ kernel }) => kernel === name);
      const own: TfWeight = {
        name,
        dtype,
        dims: arrays.get(name)?.dims ?? dims,
        data: arrays.get(name)?.values ?? values,
      };
      return bias
        ? [own, { name: bias.place, dtype: 'float32', dims: bias.array.dims, data: bias.array.values }]
        : [own];
    });
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
  for (const { values, quantization } of readManifest(
    modelJson(members)['weightsManifest'],
    members,
  ).values() as Iterable<TfjsWeight>) {
    const form = quantization ?? 'float32';
    elements.set(form, (elements.get(form) ?? 0) + values.length);
  }
  return [...elements].sort(([, a], [, z]) => z - a)[0]?.[0] ?? 'float32';
}

const modelJson = (members: ReadonlyMap<string, Uint8Array>): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(members.get('model.json'))) as Record<string, unknown>;
