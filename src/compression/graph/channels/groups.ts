/** Groups of removable channels: those of a layer and of the layers tied to it. */
import type { Tensor } from '../../ir/types.ts';
import type { ChannelMap, ConstantUse } from './couple.ts';

/** One axis of a constant along which some unit lies. */
export interface ConstantAxis {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly labels: Int32Array;
}

export interface ChannelGroup {
  /** Names of the weights that compute these channels, and of their nodes. */
  readonly names: readonly string[];
  /** Representatives of the units that may go. */
  readonly units: readonly number[];
  /** Number of frozen units among them, which stay. */
  readonly fixed: number;
  /** Axes of weights that compute these channels: filters, columns, gates. */
  readonly makers: readonly ConstantAxis[];
}

/** In the order of the graph. */
export function channelGroups(map: ChannelMap): ChannelGroup[] {
  const groups = new Map<number, { roots: Set<number>; makers: Map<Int32Array, ConstantAxis>; names: Set<string> }>();
  const tied = tieAxes(map);
  for (const { tensor, axis, labels, names } of makersOf(map)) {
    const [label] = labels;
    if (label === undefined) continue; // an axis of size 0
    const key = tied(map.units.find(label));
    const group = groups.get(key) ?? { roots: new Set(), makers: new Map(), names: new Set() };
    groups.set(key, group);
    for (const unit of labels) group.roots.add(map.units.find(unit));
    group.makers.set(labels, { tensor, axis, labels });
    for (const name of names) group.names.add(name);
  }
  return [...groups.values()].flatMap(({ roots, makers, names }) => {
    const units = [...roots].filter((unit) => !map.units.isFrozen(unit)).sort((a, b) => a - b);
    return units.length === 0
      ? []
      : [{ names: [...names], units, fixed: roots.size - units.length, makers: [...makers.values()] }];
  });
}

/** Union-find over representatives: units that share an axis computed by a weight are in one class. */
function tieAxes(map: ChannelMap): (unit: number) => number {
  const parents = new Map<number, number>();
  const find = (unit: number): number => {
    let at = unit;
    for (let above = parents.get(at); above !== undefined && above !== at; above = parents.get(at)) at = above;
    return at;
  };
  for (const axis of map.made) {
    const [label] = axis;
    if (label === undefined) continue;
    const first = find(map.units.find(label));
    for (const unit of axis) {
      const root = find(map.units.find(unit));
      if (root !== first) parents.set(root, first);
    }
  }
  return find;
}

interface Maker extends ConstantAxis {
  readonly names: readonly string[];
}

/** Constants with an axis of the channels that they compute, with their own names and those of their nodes. */
function makersOf(map: ChannelMap): Maker[] {
  return map.constants.flatMap((use) =>
    use.units.flatMap((labels, axis) =>
      labels && map.made.has(labels) ? [{ tensor: use.tensor, axis, labels, names: namesOf(use) }] : [],
    ),
  );
}

function namesOf({ tensor, node }: ConstantUse): string[] {
  return [tensor.name, node.name, ...node.outputs].filter((name) => name !== '');
}
