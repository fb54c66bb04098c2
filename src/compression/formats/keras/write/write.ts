/** A compressed graph -> the Keras file it was read from, with new arrays: topology, names and everything else as uploaded. */
import { encodeFloat16, decodeFloat16 } from '../../../graph/number-formats.ts';
import type { Model } from '../../../graph/types.ts';
import { packZip } from '../../archive.ts';
import { readKerasArchive, readKerasH5 } from '../read.ts';
import type { Kept } from './collect.ts';
import { copyHdf5 } from './hdf5-copy.ts';
import type { NewArray } from './new-array.ts';
import { restore } from './restore.ts';

/** Values that arrays are rounded to. HDF5 holds them as float32 either way: deflated, halves take about half the room. */
export type KerasPrecision = 'float32' | 'float16';

const LARGEST_HALF = 65504;
/** The optimizer's state belongs to the weights as they were. */
const OPTIMIZER = new Set(['/optimizer_weights', '/optimizer']);

/**
 * Version 2's whole-model HDF5 file.
 * @param kept what is left of initializers that lost channels
 * @throws LatheError `unsupported-operator` where the graph was changed in a way that the topology cannot say.
 */
export async function writeKerasH5(upload: Uint8Array, model: Model, precision: KerasPrecision = 'float32', kept: Kept = new Map()): Promise<Uint8Array> {
  const { arrays, topology } = await restore((reading) => readKerasH5(upload, reading), model, kept);
  const attributes = new Map(topology ? [['model_config', JSON.stringify(topology)]] : []);
  return copyHdf5(upload, { arrays: rounded(arrays, precision), attributes, without: OPTIMIZER, deflate: true });
}

/** As `writeKerasH5`, for the members of a `.keras` archive. The archive itself deflates. */
export async function writeKerasArchive(members: ReadonlyMap<string, Uint8Array>, model: Model, precision: KerasPrecision = 'float32', kept: Kept = new Map()): Promise<Uint8Array> {
  const { arrays, topology } = await restore((reading) => readKerasArchive(members, reading), model, kept);
  const weights = await copyHdf5(members.get('model.weights.h5')!, { arrays: rounded(arrays, precision), without: OPTIMIZER, deflate: false });
  const changed = new Map([['model.weights.h5', weights], ...(topology ? [['config.json', new TextEncoder().encode(JSON.stringify(topology))] as const] : [])]);
  return packZip(new Map([...members].map(([path, content]) => [path, changed.get(path) ?? content])));
}

function rounded(arrays: ReadonlyMap<string, NewArray>, precision: KerasPrecision): ReadonlyMap<string, NewArray> {
  if (precision === 'float32') return arrays;
  const halves = (values: Float32Array): Float32Array => (values.some((value) => Math.abs(value) > LARGEST_HALF) ? values : decodeFloat16(encodeFloat16(values)));
  return new Map([...arrays].map(([place, { dims, values }]) => [place, { dims, values: halves(values) }]));
}
