/**
 * Normalizations of a Keras topology, folded into the layers before them, as quantizing folds them in the graph: a step
 * over what is about to be written. The layers are gone from the topology, and their arrays from the file.
 */
import { existing, itemOf } from '../../../../ir/checked-access.ts';
import { isModelClass, layerConfig, modelConfig, type LayerConfig, type ModelConfig } from '../../config.ts';
import type { Config, WeightArray } from '../../layer.ts';
import { AS_STORED } from '../../read-options.ts';
import type { WeightSource } from '../../weights.ts';
import type { NewArray } from '../new-array.ts';
import { replaced, type Read, type Restored } from '../restore.ts';
import { foldArrays } from './fold-arrays.ts';
import { layerOrder } from './layer-order.ts';
import { findPairs, kernelOf, type LayerFacts } from './pairs.ts';
import { inOrder, layersOf, withLayers, withoutNormalizations } from './rewire.ts';

/**
 * How a format finds the arrays of a layer: by its name (TF.js), by how many layers of its class come before it (Keras
 * 3), or by its place among all layers, within models among all of their arrays (HDF5 of whole models).
 */
export type Filing = 'name' | 'class' | 'place';

/** A bias that the file has no array for, and the kernel that it comes behind. */
export interface NewBias {
  readonly place: string;
  readonly kernel: string;
  readonly array: NewArray;
}

export interface Folded extends Restored {
  readonly topology: Config;
  /** The topology before, with the same objects where nothing was folded. */
  readonly unfolded: Config;
  /** Arrays of normalizations. */
  readonly gone: ReadonlySet<string>;
  readonly biases: readonly NewBias[];
  /** Names of the removed layers. */
  readonly normalizations: readonly string[];
}

interface Work {
  readonly facts: LayerFacts;
  readonly filing: Filing;
  readonly arrays: Map<string, NewArray>;
  readonly gone: Set<string>;
  readonly biases: NewBias[];
  readonly normalizations: string[];
}

/** Null where there is nothing to fold. */
export async function foldNormalizations(read: Read, restored: Restored, filing: Filing): Promise<Folded | null> {
  const { topology, facts } = await readAgain(read, restored);
  const work: Work = {
    facts,
    filing,
    arrays: new Map(restored.arrays),
    gone: new Set(),
    biases: [],
    normalizations: [],
  };
  const folded = foldModel(topology, work, '');
  return work.normalizations.length === 0 ? null : { ...work, topology: folded, unfolded: topology };
}

/** The facts about the layers of the file that will be written. */
async function readAgain(read: Read, { topology, arrays }: Restored): Promise<{ topology: Config; facts: LayerFacts }> {
  const known = new Map<Config, readonly WeightArray[]>();
  const ranks = new Map<Config, number>();
  let own: Config = {};
  await read({
    ...AS_STORED,
    topology: (config) => (own = topology ?? config),
    weights: (source) => recorded(replaced(source, arrays), known),
    called: ({ raw }, _, __, [first]) => {
      if (first && !ranks.has(raw)) ranks.set(raw, first.shape.length);
    },
  });
  return { topology: own, facts: { arrays: unshared(known), rank: ({ raw }) => ranks.get(raw) } };
}

function recorded(source: WeightSource, known: Map<Config, readonly WeightArray[]>): WeightSource {
  return {
    arrays: (layer) => {
      const arrays = source.arrays(layer);
      known.set(layer.raw, arrays);
      return arrays;
    },
    nested: (layer) => recorded(source.nested(layer), known),
    wrapped: (wrapper, attribute, inner) => recorded(source.wrapped(wrapper, attribute, inner), known),
  };
}

/** Leaves out arrays that two layers of the file read: a change for one would change the other. */
function unshared(known: ReadonlyMap<Config, readonly WeightArray[]>): LayerFacts['arrays'] {
  const readers = new Map<string, number>();
  for (const { place = '' } of [...known.values()].flat()) readers.set(place, (readers.get(place) ?? 0) + 1);
  return ({ raw }) => (known.get(raw) ?? []).filter(({ place = '' }) => readers.get(place) === 1);
}

/** @param path names of the models around it, each with a slash; '': it is the whole model */
function foldModel(raw: Config, work: Work, path: string): Config {
  const inner = layersOf(raw).map((layer) =>
    isModelClass(String(layer['class_name'])) ? foldModel(layer, work, `${path}${layerConfig(layer).name}/`) : layer,
  );
  const model = inner.some((layer, i) => layer !== layersOf(raw)[i]) ? withLayers(raw, inner) : raw;
  const config = modelConfig(model);
  const pairs = findPairs(config, work.facts, path === '');
  if (pairs.length === 0) return model;
  const bare = withoutNormalizations(model, pairs);
  const ordered = work.filing === 'name' || config.layers.length === 0 ? bare : listed(bare, config, work, path);
  if (!ordered) return model;
  for (const { product, norm } of pairs) {
    take(product, norm, work);
    work.normalizations.push(path + norm.name);
  }
  return ordered;
}

/** Puts the layers in Keras's order; null where it is unknown, or where the list of arrays would change. */
function listed(bare: Config, before: ModelConfig, { filing }: Work, path: string): Config | null {
  if (bare['class_name'] === 'Sequential') return bare;
  const [was, left] = [before.layers.map(({ name }) => name), layersOf(bare).map((layer) => layerConfig(layer).name)];
  if (layerOrder(before).join('\n') !== was.join('\n')) return null;
  const order = layerOrder(modelConfig(bare));
  const same = order.join('\n') === left.join('\n');
  if (same) return bare;
  return filing === 'place' && path !== '' ? null : inOrder(bare, order);
}

function take(product: LayerConfig, norm: LayerConfig, { facts, filing, arrays, gone, biases }: Work): void {
  const [own, statistics] = [facts.arrays(product), facts.arrays(norm)];
  const { kernel, bias } = foldArrays({ product, norm }, own, statistics);
  const { count } = kernelOf(product);
  const place = placeOf(itemOf(own, count - 1, 'the list of its arrays'));
  const ownBias = own[count];
  arrays.set(place, kernel);
  if (ownBias) arrays.set(placeOf(ownBias), bias);
  else biases.push({ place: biasBeside(place, filing), kernel: place, array: bias });
  for (const old of statistics.map(placeOf)) {
    arrays.delete(old);
    gone.add(old);
  }
}

const placeOf = ({ place }: WeightArray): string => existing(place, 'the place of an array in the file');

/** Keras 3 numbers the arrays of a layer; elsewhere they are called `kernel`, in Keras 2 `kernel:0`. */
function biasBeside(kernel: string, filing: Filing): string {
  const [folder, name] = [kernel.slice(0, kernel.lastIndexOf('/') + 1), kernel.slice(kernel.lastIndexOf('/') + 1)];
  if (filing === 'class') return `${folder}${Number(name) + 1}`;
  return `${folder}bias${/:\d+$/.exec(name)?.[0] ?? ''}`;
}
