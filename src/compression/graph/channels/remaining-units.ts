/** Tracks which units may still be removed: every labelled axis keeps at least one. */
import type { ChannelMap } from './couple.ts';

export class RemainingUnits {
  readonly gone = new Set<number>();
  /** By unit, how many units each of its axes still has. */
  private readonly axesOf = new Map<number, { left: number }[]>();

  constructor(map: ChannelMap) {
    const axes = new Set<Int32Array>();
    for (const units of map.values.values()) for (const axis of units ?? []) if (axis) axes.add(axis);
    for (const { units } of map.constants) for (const axis of units) if (axis) axes.add(axis);
    for (const axis of axes) {
      const roots = new Set(Array.from(axis, (unit) => map.units.find(unit)));
      const remaining = { left: roots.size };
      for (const root of roots) {
        const list = this.axesOf.get(root);
        if (list) list.push(remaining);
        else this.axesOf.set(root, [remaining]);
      }
    }
  }

  /** Removes a unit, given by its representative. @returns false where it is the last one of an axis, and stays */
  remove(unit: number): boolean {
    const axes = this.axesOf.get(unit) ?? [];
    if (this.gone.has(unit) || axes.some((axis) => axis.left < 2)) return false;
    for (const axis of axes) axis.left--;
    this.gone.add(unit);
    return true;
  }
}
