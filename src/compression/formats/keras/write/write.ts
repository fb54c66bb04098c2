/** A compressed graph -> the Keras file it was read from, with new arrays: topology, names and everything else as uploaded. */
import { encodeFloat16, decodeFloat16 } from '../../../graph/number-formats.ts';
import type { Model } from '../../../graph/types.ts';
import { packZip } from '../../archive.ts';
import { readKerasArchive, readKerasH5, type Through } from '../read.ts';
import { AddressBook } from './addresses.ts';
import { collectArrays, type Origins } from './collect.ts';
import { copyHdf5 } from './hdf5-copy.ts';

/** Values that arrays are rounded to. HDF5 holds them as float32 either way: deflated, halves take about half the room. */
export type KerasPrecision = 'float32' | 'float16';

const LARGEST_HALF = 65504;
/** The optimizer's state belongs to the weights as they were. */
const OPTIMIZER = new Set(['/optimizer_weights', '/optimizer']);

/**
 * Version 2's whole-model HDF5 file.
 * @throws LatheError `unsupported-operator` where the graph was changed in a way that the topology cannot say.
 */
export async function writeKerasH5(upload: Uint8Array, model: Model, precision: KerasPrecision = 'float32'): Promise<Uint8Array> {
  const origins = await originsOf((through) => readKerasH5(upload, through));
  return copyHdf5(upload, { arrays: rounded(collectArrays(model, origins), precision), without: OPTIMIZER, deflate: true });
}

/** As `writeKerasH5`, for the members of a `.keras` archive. The archive itself deflates. */
export async function writeKerasArchive(members: ReadonlyMap<string, Uint8Array>, model: Model, precision: KerasPrecision = 'float32'): Promise<Uint8Array> {
  const origins = await originsOf((through) => readKerasArchive(members, through));
  const arrays = rounded(collectArrays(model, origins), precision);
  const weights = await copyHdf5(members.get('model.weights.h5')!, { arrays, without: OPTIMIZER, deflate: false });
  return packZip(new Map([...members].map(([path, content]) => [path, path === 'model.weights.h5' ? weights : content])));
}

/** Reads a file twice: as it is, and with addresses. */
export async function originsOf(read: (through: Through) => Promise<Model> | Model): Promise<Origins> {
  const book = new AddressBook();
  return { uploaded: await read((source) => source), addressed: await read(book.through), book };
}

function rounded(arrays: ReadonlyMap<string, Float32Array>, precision: KerasPrecision): ReadonlyMap<string, Float32Array> {
  if (precision === 'float32') return arrays;
  return new Map([...arrays].map(([place, values]) => [place, values.some((value) => Math.abs(value) > LARGEST_HALF) ? values : decodeFloat16(encodeFloat16(values))]));
}
