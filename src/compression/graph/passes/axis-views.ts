/** Values as rearrangements of other values: the algebra behind moving transposes through a graph. */
import { elementAt } from '../../ir/checked-access.ts';

/** Marks an axis of size 1 that the base does not have. */
export const NEW_AXIS = -1;

/** Axis i of the value is axis `axes[i]` of `base`, or a new one of size 1. Every axis of the base occurs once. */
export interface AxisView {
  readonly base: string;
  readonly axes: readonly number[];
}

export function plainView(base: string, rank: number): AxisView {
  return { base, axes: Array.from({ length: rank }, (_, axis) => axis) };
}

/** True where the value is the base itself. */
export function isPlain({ axes }: AxisView): boolean {
  return axes.every((axis, i) => axis === i);
}

export function sameAxes(a: AxisView, b: AxisView): boolean {
  return a.axes.length === b.axes.length && a.axes.every((axis, i) => axis === b.axes[i]);
}

export function transposeView({ base, axes }: AxisView, perm: readonly number[]): AxisView {
  return { base, axes: perm.map((axis) => elementAt(axes, axis, 'axis')) };
}

/** `at`: positions of the new axes in the result, not negative. */
export function unsqueezeView({ base, axes }: AxisView, at: readonly number[]): AxisView {
  const rest = axes.values();
  const rank = axes.length + at.length;
  return {
    base,
    axes: Array.from({ length: rank }, (_, i) => (at.includes(i) ? NEW_AXIS : (rest.next().value ?? NEW_AXIS))),
  };
}

/** The view on the base after its axes `removed` (of size 1) are gone. */
export function dropBaseAxes({ base, axes }: AxisView, removed: readonly number[]): AxisView {
  const kept = axes.filter((axis) => axis === NEW_AXIS || !removed.includes(axis));
  return {
    base,
    axes: kept.map((axis) => (axis === NEW_AXIS ? NEW_AXIS : axis - removed.filter((gone) => gone < axis).length)),
  };
}

/** What makes the value from its base: a Transpose by `perm` (null: none needed), then an Unsqueeze at `newAxes`. */
export function materialization({ axes }: AxisView): {
  readonly perm: readonly number[] | null;
  readonly newAxes: readonly number[];
} {
  const order = axes.filter((axis) => axis !== NEW_AXIS);
  const newAxes = axes.flatMap((axis, i) => (axis === NEW_AXIS ? [i] : []));
  return { perm: order.every((axis, i) => axis === i) ? null : order, newAxes };
}

/**
 * Sizes that a constant broadcast against the value has along the axes of the base, or null where it spans a new axis.
 * `perm` orders the constant's own axes (padded with ones in front to the value's rank) like the base's.
 */
export function constantForBase(
  { axes }: AxisView,
  dims: readonly number[],
): { readonly padded: readonly number[]; readonly perm: readonly number[] } | null {
  if (dims.length > axes.length) return null;
  const padded = [...new Array<number>(axes.length - dims.length).fill(1), ...dims];
  if (axes.some((axis, i) => axis === NEW_AXIS && padded[i] !== 1)) return null;
  const baseRank = axes.filter((axis) => axis !== NEW_AXIS).length;
  const existing = padded.filter((_, i) => axes[i] !== NEW_AXIS);
  const order = axes.filter((axis) => axis !== NEW_AXIS);
  return { padded: existing, perm: Array.from({ length: baseRank }, (_, axis) => order.indexOf(axis)) };
}
