/** Numbers in ascending order with their running sums, for means of ranges and counts below a limit. */

export class SortedValues {
  /** Ascending. */
  readonly values: Float32Array | Float64Array;
  /** sums[i]: of the first i values. Doubles keep float32 precision for 10^8 weights. */
  private readonly sums: Float64Array;

  /** @param values finite, in any order */
  constructor(values: Float32Array | Float64Array) {
    this.values = values.slice().sort();
    this.sums = new Float64Array(values.length + 1);
    for (let i = 0; i < values.length; i++) this.sums[i + 1] = this.sums[i]! + this.values[i]!;
  }

  get length(): number {
    return this.values.length;
  }

  /** Mean of the values from index `from` to before `to`, at least one. */
  mean(from: number, to: number): number {
    return (this.sums[to]! - this.sums[from]!) / (to - from);
  }

  /** How many values are at most the limit, by bisection. */
  countUpTo(limit: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.values[middle]! <= limit) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The different values in ascending order; null if there are more than `most`. */
  distinct(maxCount: number): number[] | null {
    const found: number[] = [];
    for (let at = 0; at < this.length; at = this.countUpTo(this.values[at]!)) {
      if (found.length === maxCount) return null;
      found.push(this.values[at]!);
    }
    return found;
  }
}
