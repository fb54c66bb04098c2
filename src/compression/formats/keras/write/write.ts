/**
 * A compressed graph -> the Keras file it was read from, with new arrays: topology, names and everything else as
 * uploaded.
 */
import { encodeFloat16, decodeFloat16 } from '../../../ir/number-formats.ts';
import type { Model } from '../../../ir/types.ts';
import { packZip } from '../../archive.ts';
import { readKerasArchive, readKerasH5 } from '../read.ts';
import type { Kept } from './collect.ts';
import { foldNormalizations } from './fold/fold.ts';
import { refileKeras3, refileWholeModel, type Refiled } from './fold/hdf5-filing.ts';
import type { CopyOptions } from './hdf5-copy.ts';
import type { NewArray } from './new-array.ts';
import { restore, type Read } from './restore.ts';

/**
 * Values that arrays are rounded to. HDF5 holds them as float32 either way: deflated, halves take about half the room.
 */
export type KerasPrecision = 'float32' | 'float16';

const MAX_FLOAT16 = 65504;
/** The optimizer's state belongs to the weights as they were. */
const OPTIMIZER = new Set(['/optimizer_weights', '/optimizer']);

export interface WrittenKeras {
  readonly bytes: Uint8Array;
  /** Names of the normalizations that were folded. */
  readonly folded: readonly string[];
}

export interface KerasWriting {
  readonly precision?: KerasPrecision;
  /** The remaining indices of initializers that lost channels. */
  readonly kept?: Kept;
  /** Fold normalizations into the layers before them. */
  readonly fold?: boolean;
}

/**
 * Version 2's whole-model HDF5 file.
 * @throws LatheError `unsupported-operator` where the topology cannot express the change.
 */
export async function writeKerasH5(
  upload: Uint8Array,
  model: Model,
  { precision = 'float32', kept = new Map(), fold = false }: KerasWriting,
): Promise<WrittenKeras> {
  const read: Read = (reading) => readKerasH5(upload, reading);
  const restored = await restore(read, model, kept);
  const folded = fold ? await foldNormalizations(read, restored, 'place') : null;
  const { arrays, topology } = folded ?? restored;
  const attributes = new Map(topology ? [['model_config', JSON.stringify(topology)]] : []);
  const bytes = await copy(upload, {
    ...copied(arrays, folded && refileWholeModel(folded), precision),
    attributes,
    deflate: true,
  });
  return { bytes, folded: folded?.normalizations ?? [] };
}

/** As `writeKerasH5`, for the members of a `.keras` archive. The archive itself deflates. */
export async function writeKerasArchive(
  members: ReadonlyMap<string, Uint8Array>,
  model: Model,
  { precision = 'float32', kept = new Map(), fold = false }: KerasWriting,
): Promise<WrittenKeras> {
  const read: Read = (reading) => readKerasArchive(members, reading);
  const restored = await restore(read, model, kept);
  const folded = fold ? await foldNormalizations(read, restored, 'class') : null;
  const { arrays, topology } = folded ?? restored;
  const weights = await copy(members.get('model.weights.h5')!, {
    ...copied(arrays, folded && refileKeras3(folded), precision),
    deflate: false,
  });
  const changed = new Map([
    ['model.weights.h5', weights],
    ...(topology ? [['config.json', new TextEncoder().encode(JSON.stringify(topology))] as const] : []),
  ]);
  const bytes = await packZip(new Map([...members].map(([path, content]) => [path, changed.get(path) ?? content])));
  return { bytes, folded: folded?.normalizations ?? [] };
}

function copied(
  arrays: ReadonlyMap<string, NewArray>,
  refiled: Refiled | null,
  precision: KerasPrecision,
): Omit<CopyOptions, 'deflate'> {
  if (!refiled) return { arrays: rounded(arrays, precision), without: OPTIMIZER };
  return {
    ...refiled,
    arrays: rounded(arrays, precision),
    added: rounded(refiled.added, precision),
    without: new Set([...OPTIMIZER, ...refiled.without]),
  };
}

function rounded(arrays: ReadonlyMap<string, NewArray>, precision: KerasPrecision): ReadonlyMap<string, NewArray> {
  if (precision === 'float32') return arrays;
  const halves = (values: Float32Array): Float32Array =>
    values.some((value) => Math.abs(value) > MAX_FLOAT16) ? values : decodeFloat16(encodeFloat16(values));
  return new Map([...arrays].map(([place, { dims, values }]) => [place, { dims, values: halves(values) }]));
}

/** HDF5's library is loaded where a file needs it: compiling it takes a tenth of a second. */
async function copy(bytes: Uint8Array, options: CopyOptions): Promise<Uint8Array> {
  const { copyHdf5 } = await import('./hdf5-copy.ts');
  return copyHdf5(bytes, options);
}
