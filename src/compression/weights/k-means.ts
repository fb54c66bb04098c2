/**
 * k-means of numbers: Lloyd's iteration (1982, IEEE Trans. Inf. Theory 28(2)), exact. In one dimension clusters are
 * ranges of the sorted values, so that an iteration takes k bisections and k differences of running sums, O(k log n).
 */
import { SortedValues } from './sorted-values.ts';
import { elementAt } from '../ir/checked-access.ts';

export type Initialization = 'linear' | 'density' | 'random';

/** Far more iterations than it takes to converge; a bound in case rounding prevents that. */
const MAX_ITERATIONS = 2000;

/**
 * Centres of at most k clusters, ascending; the values themselves if at most k are different.
 * @param values finite; at least one
 * @param random uniform in [0, 1), for 'random'
 */
export function kMeans(
  values: Float32Array | Float64Array,
  k: number,
  init: Initialization,
  random: () => number,
): Float64Array {
  const sorted = new SortedValues(values);
  const distinct = sorted.distinct(k);
  return distinct ? Float64Array.from(distinct) : iterate(sorted, INITIALIZATIONS[init](sorted, k, random).sort());
}

/** Han et al. 2016, section 3.2. */
const INITIALIZATIONS: Record<Initialization, (sorted: SortedValues, k: number, random: () => number) => Float64Array> =
  {
    // Evenly over the range: large weights, which are few and matter most, get centres near them.
    linear: ({ values, length }, k) => {
      const [low, high] = [elementAt(values, 0, 'value'), elementAt(values, length - 1, 'value')];
      return Float64Array.from({ length: k }, (_, i) => low + ((high - low) * i) / Math.max(1, k - 1));
    },
    // Evenly over the cumulative distribution: the same number of values around each.
    density: ({ values, length }, k) =>
      Float64Array.from({ length: k }, (_, i) => values[Math.floor(((i + 0.5) * length) / k)]!),
    // Values drawn without replacement (Forgy).
    random: ({ values, length }, k, random) => {
      const drawn = new Set<number>();
      while (drawn.size < k) drawn.add(Math.floor(random() * length));
      return Float64Array.from(drawn, (index) => values[index]!);
    },
  };

/**
 * Iterates until no value changes its cluster. Restarts clusters that lose all their values at the value farthest from
 * its centre, one per iteration.
 */
function iterate(sorted: SortedValues, centres: Float64Array): Float64Array {
  let bounds = boundsOf(sorted, centres);
  for (let i = 0; i < MAX_ITERATIONS; i++) {
    for (let c = 0; c < centres.length; c++)
      if (bounds[c + 1]! > bounds[c]!) centres[c] = sorted.mean(bounds[c]!, bounds[c + 1]!);
    const empty = centres.findIndex((_, c) => bounds[c + 1] === bounds[c]);
    if (empty >= 0) centres[empty] = worstServed(sorted, centres, bounds);
    centres.sort();
    const next = boundsOf(sorted, centres);
    if (empty < 0 && next.every((bound, c) => bound === bounds[c])) break;
    bounds = next;
  }
  return centres.filter((_, c) => bounds[c + 1]! > bounds[c]!);
}

/**
 * bounds[c] .. bounds[c + 1] are the values nearest to centre c; a value midway between two belongs to the lower one.
 */
function boundsOf(sorted: SortedValues, centres: Float64Array): Int32Array {
  const bounds = new Int32Array(centres.length + 1);
  for (let c = 1; c < centres.length; c++) bounds[c] = sorted.countUpTo((centres[c - 1]! + centres[c]!) / 2);
  bounds[centres.length] = sorted.length;
  return bounds;
}

/** The value farthest from its centre: one of the two ends of a cluster. */
function worstServed({ values }: SortedValues, centres: Float64Array, bounds: Int32Array): number {
  let [worst, distance] = [values[0]!, -1];
  for (let c = 0; c < centres.length; c++) {
    if (bounds[c + 1] === bounds[c]) continue;
    for (const value of [values[bounds[c]!]!, values[bounds[c + 1]! - 1]!]) {
      if (Math.abs(value - centres[c]!) > distance) [worst, distance] = [value, Math.abs(value - centres[c]!)];
    }
  }
  return worst;
}
