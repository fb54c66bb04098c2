/**
 * Units: what channel pruning removes. A unit is one index along an axis, together with every index of every other axis
 * that has to go with it (a filter, its bias, the input channels that read it, the same channel of each branch that is
 * added to it). Axes are labelled with units; operators say which labels are one and the same, and a union-find
 * structure (Tarjan, 1975) keeps the classes.
 */

/**
 * Per index along an axis, its unit. null: nothing may be removed along the axis (sizes that are open, batches,
 * positions, or an axis of one).
 */
export type AxisUnits = Int32Array | null;

export class Units {
  private parents = new Int32Array(1024);
  private frozen = new Uint8Array(1024);
  private count = 0;
  private readonly causes = new Map<number, string>();
  /** The present cause: recorded for the units that it is first to freeze. */
  cause = '';

  /** Units of their own for an axis of this size; null for an axis of one, which cannot shrink. */
  fresh(size: number): AxisUnits {
    if (size <= 1) return null;
    this.reserve(this.count + size);
    return Int32Array.from({ length: size }, () => {
      this.parents[this.count] = this.count;
      return this.count++;
    });
  }

  /** The class of a unit, by its representative. */
  find(unit: number): number {
    let at = unit;
    while (this.parents[at] !== at) {
      const above = this.parents[this.parents[at]!]!;
      this.parents[at] = above;
      at = above;
    }
    return at;
  }

  /** Makes two units one. */
  unite(a: number, b: number): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x === y) return;
    const [root, child] = x < y ? [x, y] : [y, x];
    this.parents[child] = root;
    if (this.frozen[root] === 0 && this.frozen[child] === 1) this.causes.set(root, this.causes.get(child)!);
    this.frozen[root]! |= this.frozen[child]!;
  }

  /** The unit has to stay. */
  freeze(unit: number): void {
    const root = this.find(unit);
    if (this.frozen[root] === 1) return;
    this.frozen[root] = 1;
    this.causes.set(root, this.cause);
  }

  isFrozen(unit: number): boolean {
    return this.frozen[this.find(unit)] === 1;
  }

  /** What made the unit stay. */
  causeOf(unit: number): string | undefined {
    return this.causes.get(this.find(unit));
  }

  freezeAxis(axis: AxisUnits): void {
    for (const unit of axis ?? []) this.freeze(unit);
  }

  /**
   * Two axes that hold the same channels: index by index their units become one. An axis that cannot shrink freezes the
   * other.
   * @returns the labels of both
   */
  uniteAxes(a: AxisUnits, b: AxisUnits): AxisUnits {
    if (a === null || b === null || a.length !== b.length) {
      this.freezeAxis(a);
      this.freezeAxis(b);
      return null;
    }
    if (a !== b) a.forEach((unit, i) => this.unite(unit, b[i]!));
    return a;
  }

  private reserve(size: number): void {
    if (size <= this.parents.length) return;
    const capacity = 2 ** Math.ceil(Math.log2(size));
    const parents = new Int32Array(capacity);
    parents.set(this.parents);
    const frozen = new Uint8Array(capacity);
    frozen.set(this.frozen);
    [this.parents, this.frozen] = [parents, frozen];
  }
}
