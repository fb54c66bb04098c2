/** Importance of channels, from their weights alone. */
import type { ConstantAxis, ChannelGroup } from '../graph/channels/groups.ts';
import type { ChannelMap } from '../graph/channels/couple.ts';
import { elementAt } from '../ir/checked-access.ts';
import { elementCount, toHost } from '../ir/tensor-data.ts';
import { seededRandom } from '../data/random.ts';

/** Importance by representative of the unit, for the units of one group. */
export type Scores = ReadonlyMap<number, number>;

export type WeightScore = 'l1' | 'l2' | 'bn-scale' | 'geometric-median' | 'random';

/**
 * Sums a channel's importance over all tied layers of its group, each layer with the same weight (Fang et al. 2023,
 * arXiv 2301.12900).
 */
export function weightScores(map: ChannelMap, group: ChannelGroup, score: WeightScore, seed: number): Scores {
  const scoreBy = (valuesOf: (maker: ConstantAxis) => Float64Array, makers: readonly ConstantAxis[]): Scores =>
    sumByUnit(
      map,
      group,
      makers.map((maker) => ({ maker, values: valuesOf(maker) })),
    );
  switch (score) {
    case 'l1':
      return scoreBy(absoluteSums, group.makers);
    case 'l2':
      return scoreBy(euclideanNorms, group.makers);
    case 'geometric-median':
      return scoreBy(distances, group.makers);
    case 'random': {
      const next = seededRandom(seed, elementAt(group.units, 0, 'unit'));
      return new Map(group.units.map((unit) => [unit, next()]));
    }
    case 'bn-scale': {
      const scales = normalizationScales(map, group);
      return scales.length === 0 ? scoreBy(euclideanNorms, group.makers) : scoreBy(absoluteSums, scales);
    }
  }
}

/** True where some channel of the group passes a normalization with a scale. */
export function hasScales(map: ChannelMap, group: ChannelGroup): boolean {
  return normalizationScales(map, group).length > 0;
}

const NORMALIZATIONS: ReadonlySet<string> = new Set([
  'BatchNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'LayerNormalization',
]);

/** Scales of normalizations along the group's channels (network slimming, Liu et al. 2017). */
function normalizationScales(map: ChannelMap, { units }: ChannelGroup): ConstantAxis[] {
  const own = new Set(units);
  return map.constants.flatMap(({ tensor, node, input, units: [labels] }) =>
    input === 1 && NORMALIZATIONS.has(node.opType) && labels && labels.some((unit) => own.has(map.units.find(unit)))
      ? [{ tensor, axis: 0, labels }]
      : [],
  );
}

export interface AxisValues {
  readonly maker: ConstantAxis;
  /** One per index along the axis. */
  readonly values: Float64Array;
}

/** Sums each unit's values over the layers, each layer's values divided by their mean. */
export function sumByUnit(map: ChannelMap, { units }: ChannelGroup, parts: readonly AxisValues[]): Scores {
  const scores = new Map(units.map((unit) => [unit, 0]));
  for (const { maker, values } of parts) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length || 1;
    maker.labels.forEach((label, i) => {
      const unit = map.units.find(label);
      const score = scores.get(unit);
      if (score !== undefined) scores.set(unit, score + elementAt(values, i, 'channel') / mean);
    });
  }
  return scores;
}

/** Rows of the tensor along the maker's axis, each flattened: [size of the axis, everything else]. */
function rowsOf({ tensor, axis }: ConstantAxis): {
  readonly data: Float64Array;
  readonly count: number;
  readonly width: number;
} {
  const values = toHost(tensor).data as ArrayLike<number>;
  const count = elementAt(tensor.dims, axis, 'axis');
  const inner = elementCount(tensor.dims.slice(axis + 1));
  const width = values.length / count;
  const data = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const row = Math.floor(i / inner) % count;
    const column = Math.floor(i / (inner * count)) * inner + (i % inner);
    data[row * width + column] = values[i]!;
  }
  return { data, count, width };
}

const absoluteSums = (maker: ConstantAxis): Float64Array =>
  norms(
    maker,
    (x) => Math.abs(x),
    (sum) => sum,
  );

const euclideanNorms = (maker: ConstantAxis): Float64Array => norms(maker, (x) => x * x, Math.sqrt);

function norms(maker: ConstantAxis, term: (x: number) => number, whole: (sum: number) => number): Float64Array {
  const { data, count, width } = rowsOf(maker);
  return Float64Array.from({ length: count }, (_, row) => {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += term(data[i]!);
    return whole(sum);
  });
}

/**
 * Sum of distances to all other channels: those near the middle can be replaced by the others (He et al. 2019, arXiv
 * 1811.00250).
 */
function distances(maker: ConstantAxis): Float64Array {
  const { data, count, width } = rowsOf(maker);
  const sums = new Float64Array(count);
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      let square = 0;
      for (let i = 0; i < width; i++) square += (data[a * width + i]! - data[b * width + i]!) ** 2;
      const distance = Math.sqrt(square);
      sums[a]! += distance;
      sums[b]! += distance;
    }
  }
  return sums;
}
