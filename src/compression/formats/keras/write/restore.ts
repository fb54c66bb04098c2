/**
 * A compressed graph -> what of the uploaded file changes: its arrays, and its topology where channels were removed.
 */
import { LatheError } from '../../../../errors.ts';
import { inferShapes } from '../../../graph/infer.ts';
import type { Model } from '../../../ir/types.ts';
import type { Config } from '../layer.ts';
import { AS_STORED, type ReadOptions } from '../read-options.ts';
import type { WeightSource } from '../weights.ts';
import { AddressBook } from './addresses.ts';
import { changedScales, isChangedScale, rescaled } from './attention-scale.ts';
import { collectArrays, collectSmallerArrays, type Kept } from './collect.ts';
import { refuse, type NewArray } from './new-array.ts';
import { resizeTopology, type RecordedCall } from './resize.ts';
import { requireSameGraph } from './same-graph.ts';

/** Reads the upload as one that looks on asks for. */
export type Read = (reading: ReadOptions) => Promise<Model> | Model;

export interface Restored {
  /** By place in the file. */
  readonly arrays: ReadonlyMap<string, NewArray>;
  /** The serialized model; null: as uploaded. */
  readonly topology: Config | null;
}

/**
 * @param kept the remaining indices of initializers that lost channels
 * @throws LatheError `unsupported-operator` where the file's topology cannot express the change
 */
export async function restore(read: Read, model: Model, kept: Kept): Promise<Restored> {
  const book = new AddressBook();
  const calls: RecordedCall[] = [];
  let topology: Config = {};
  const uploaded = await read(AS_STORED);
  const addressed = await read({
    topology: (config) => (topology = config),
    weights: book.through,
    called: (layer, path, inputs, outputs) => {
      calls.push({ layer, path, inputs, outputs });
    },
  });
  const origins = { uploaded, addressed, book };
  if (kept.size === 0) return { arrays: collectArrays(model, origins), topology: null };
  const arrays = collectSmallerArrays(model, origins, kept);
  const smaller = resizeTopology(topology, { calls, book, arrays, types: inferShapes(model) });
  const scales = changedScales(calls, book, arrays);
  requireSameGraph(model, await readSmaller(read, smaller, arrays), (node, own, now) =>
    isChangedScale(node, own, now, scales),
  );
  return { arrays: rescaled(arrays, scales), topology: smaller };
}

/** The file as it will be read. What is wrong with it now is what its layers cannot say. */
async function readSmaller(read: Read, topology: Config, arrays: Restored['arrays']): Promise<Model> {
  try {
    return await read({ ...AS_STORED, topology: () => topology, weights: (source) => replaced(source, arrays) });
  } catch (error) {
    if (error instanceof LatheError)
      throw refuse(
        error.errors[0]?.path ?? 'model',
        `channels were removed in a way that the layer cannot express (${error.message})`,
      );
    throw error;
  }
}

/** The file's arrays with new ones in their places. */
export function replaced(source: WeightSource, arrays: Restored['arrays']): WeightSource {
  return {
    arrays: (layer) => source.arrays(layer).map((array) => ({ ...array, ...arrays.get(array.place ?? '') })),
    nested: (layer) => replaced(source.nested(layer), arrays),
    wrapped: (wrapper, attribute, inner) => replaced(source.wrapped(wrapper, attribute, inner), arrays),
  };
}
