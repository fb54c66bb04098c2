/**
 * What else of an HDF5 file changes where normalizations are gone: names of groups (Keras 3), lists of names
 * (whole-model files).
 */
import { isModelClass, layerConfig, type LayerConfig } from '../../config.ts';
import type { Config } from '../../layer.ts';
import { keras3Groups } from '../../weights.ts';
import type { CopyOptions } from '../hdf5-copy.ts';
import { refuse, type NewArray } from '../new-array.ts';
import type { Folded } from './fold.ts';
import { layersOf } from './rewire.ts';

export type Refiled = Pick<CopyOptions, 'lists' | 'renamed'> & {
  readonly without: ReadonlySet<string>;
  readonly added: ReadonlyMap<string, NewArray>;
};

const added = ({ biases }: Folded): Map<string, NewArray> => new Map(biases.map(({ place, array }) => [place, array]));

/** Renumbers the remaining layers of every model, which are filed under their class and number. */
export function refileKeras3(folded: Folded): Refiled {
  const [renamed, without] = [new Map<string, string>(), new Set<string>()];
  regroup({ before: folded.unfolded, after: folded.topology, prefix: '', renamed, without });
  const stray = [...folded.gone].find((place) => ![...without].some((group) => place.startsWith(`${group}/`)));
  if (stray !== undefined) throw refuse(stray, 'is stored in a layout from which layers cannot be removed');
  return { renamed, without, added: added(folded) };
}

interface Regrouping {
  readonly before: Config;
  readonly after: Config;
  readonly prefix: string;
  readonly renamed: Map<string, string>;
  readonly without: Set<string>;
}

function regroup({ before, after, prefix, renamed, without }: Regrouping): void {
  const [old, left] = [
    layersOf(before).map(layerConfig),
    new Map(
      layersOf(after)
        .map(layerConfig)
        .map((layer) => [layer.name, layer]),
    ),
  ];
  const [was, is] = [keras3Groups(old), keras3Groups([...left.values()])];
  for (const layer of old) {
    const path = `${prefix}/layers/${was.get(layer.name)}`;
    const now = left.get(layer.name);
    if (!now) without.add(path);
    else renamed.set(path, is.get(layer.name)!);
    if (now && isModelClass(layer.className))
      regroup({ before: layer.raw, after: now.raw, prefix: path, renamed, without });
  }
}

/**
 * `layer_names` lists the layers, `weight_names` of each layer's group its arrays: of a model, those of all its layers.
 */
export function refileWholeModel(folded: Folded): Refiled {
  const left = new Set(layersOf(folded.topology).map((raw) => layerConfig(raw).name));
  const gone = layersOf(folded.unfolded)
    .map(layerConfig)
    .filter(({ name }) => !left.has(name));
  return {
    without: new Set([...folded.gone, ...gone.map(groupOf)]),
    added: added(folded),
    lists: (path, name, value) => relist(folded, [...left], { path, name, value }),
  };
}

const ROOT = '/model_weights';
const groupOf = ({ name }: LayerConfig): string => `${ROOT}/${name}`;

interface List {
  readonly path: string;
  readonly name: string;
  readonly value: readonly string[];
}

function relist({ gone, biases }: Folded, layers: readonly string[], { path, name, value }: List): readonly string[] {
  if (name.startsWith('weight_names')) {
    return value
      .filter((array) => !gone.has(`${path}/${array}`))
      .flatMap((array) => [
        array,
        ...biases
          .filter(({ kernel }) => kernel === `${path}/${array}`)
          .map(({ place }) => place.slice(path.length + 1)),
      ]);
  }
  if (path !== ROOT || !name.startsWith('layer_names')) return value;
  const places = new Map(layers.map((layer, i) => [layer, i]));
  const rest = value.filter((layer) => places.has(layer));
  const sorted = [...rest].sort((a, z) => places.get(a)! - places.get(z)!);
  // Lists too long for one attribute go on in layer_names1: to sort them all of it would have to be at hand.
  if (name !== 'layer_names' && sorted.join('\n') !== rest.join('\n'))
    throw refuse(`${path}@${name}`, 'lists layers in an order that removing one would change');
  return sorted;
}
