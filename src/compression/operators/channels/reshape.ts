/**
 * Reshapes: axes are matched in the smallest runs of equal size, [2, 3, 4] -> [6, 2, 2] being (2, 3 -> 6), (4 -> 2, 2).
 * Where axes are joined, labels are repeated; where one is cut in several, the channels that share an index along one
 * of them go together: that of the most classes (positions within heads or shuffled groups, maps of a flattened image).
 */
import { nth } from '../../ir/checked-access.ts';
import type { AxisUnits } from './units.ts';
import { makeNode } from '../../ir/edit.ts';
import { elementCount, int64Host } from '../../ir/tensor-data.ts';
import type { Dim } from '../../ir/types.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import type { NodeInfo } from '../../ir/node-info.ts';
import {
  tieAcrossGroups,
  ints,
  keepAll,
  tiled,
  type ChannelRule,
  type Computed,
  type Coupling,
  type Shrinking,
  type Shrunk,
  type ValueUnits,
} from './rule.ts';

/**
 * Of operators that only change the shape; where the new shape is an input or attribute that counts channels, it is
 * rewritten.
 */
export const reshaping: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const units = ctx.input(0);
    const [from, to] = [ctx.info.types[0]?.shape, ctx.output(0)?.shape];
    if (!units || !from || !to) return [keepAll(ctx, units) && null];
    return [reshapedUnits(ctx, units, from, to)];
  },
};

/** Reshape: the new shape is an attribute up to opset 4, input 1 since. */
export const reshapeToShape: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const [units] = reshaping.couple(ctx) as [ValueUnits | null];
    return [canRewrite(ctx.info) ? units : keepAll(ctx, units)];
  },
  shrink: (ctx) =>
    rewrittenShape(
      ctx,
      ctx.output(0).map((axis) => (ctx.shrinks(axis) ? ctx.size(axis) : null)),
    ),
};

/** A shape that the model computes is overridden by a Where, which came with opset 9. */
function canRewrite(info: NodeInfo, input = 1): boolean {
  return info.opset < 5 || info.opset >= 9 || info.constant(input) !== null;
}

/** The requested shape with new sizes where axes shrink; open entries (0, -1, computed sizes) stay as they are. */
function rewrittenShape(ctx: Shrinking, sizes: readonly (number | null)[], input = 1): Shrunk {
  if (sizes.every((size) => size === null)) return {};
  const constant = ctx.info.opset < 5 ? ctx.info.ints('shape') : ctx.info.constant(input)?.data;
  if (!constant) return { computed: new Map([[input, overridden(ctx, sizes, input)]]) };
  const shape = Array.from(constant as ArrayLike<number | bigint>, Number);
  const offset = sizes.length - shape.length; // Expand may name fewer axes than its result has
  const values = shape.map((size, i) => sizes[i + offset] ?? size);
  return ctx.info.opset < 5
    ? { attributes: { shape: ints(values) } }
    : { constants: new Map([[input, int64Host(values)]]) };
}

/** Where(axis shrinks, its size, what the model computes). */
function overridden(ctx: Shrinking, all: readonly (number | null)[], input: number): Computed {
  const rank = ctx.info.types[input]?.shape?.[0];
  const sizes = typeof rank === 'number' ? all.slice(all.length - rank) : all;
  const [mask, values, shape] = ['mask', 'sizes', 'shape'].map((part) =>
    ctx.name(`${nth(ctx.info.node.outputs, 0)}_${part}`),
  ) as [string, string, string];
  return {
    node: makeNode('Where', [mask, values, nth(ctx.info.node.inputs, input)], [shape]),
    constants: new Map<string, HostTensor>([
      [mask, { dtype: 'bool', dims: [sizes.length], data: Uint8Array.from(sizes, (size) => Number(size !== null)) }],
      [values, int64Host(sizes.map((size) => size ?? 0))],
    ]),
  };
}

function reshapedUnits(ctx: Coupling, units: ValueUnits, from: readonly Dim[], to: readonly Dim[]): ValueUnits {
  const result: AxisUnits[] = new Array<AxisUnits>(to.length).fill(null);
  for (const segment of matchedSegments(from, to)) {
    const inputs = units.slice(segment.from[0], segment.from[1]);
    if (inputs.every((axis) => axis === null)) continue;
    const placed = moveUnits(ctx, inputs, from.slice(...segment.from), to.slice(...segment.to));
    placed?.forEach((axis, i) => {
      result[segment.to[0] + i] = axis;
    });
    if (!placed) for (const axis of inputs) ctx.freeze(axis);
  }
  return result;
}

interface Segment {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

/** Runs of axes of equal product; after the first place where an open size stops that, everything left is one run. */
function matchedSegments(from: readonly Dim[], to: readonly Dim[]): Segment[] {
  const head = prefixSegments(from, to);
  const [i, j] = head.at(-1) ? [nth(head, -1).from[1], nth(head, -1).to[1]] : [0, 0];
  const tail = prefixSegments([...from.slice(i)].reverse(), [...to.slice(j)].reverse())
    .map(
      ({ from: a, to: b }): Segment => ({
        from: [from.length - a[1], from.length - a[0]],
        to: [to.length - b[1], to.length - b[0]],
      }),
    )
    .reverse();
  const [k, l] = tail[0] ? [tail[0].from[0], tail[0].to[0]] : [from.length, to.length];
  return [...head, ...(i < k || j < l ? [{ from: [i, k], to: [j, l] } as const] : []), ...tail];
}

/** Matches sizes, or equal symbols, as far as possible. */
function prefixSegments(from: readonly Dim[], to: readonly Dim[]): Segment[] {
  const segments: Segment[] = [];
  let [i, j] = [0, 0];
  while (i < from.length && j < to.length) {
    const end = segmentEnd(from, to, i, j);
    if (!end) break;
    segments.push({ from: [i, end[0]], to: [j, end[1]] });
    [i, j] = end;
  }
  return segments;
}

function segmentEnd(from: readonly Dim[], to: readonly Dim[], i: number, j: number): [number, number] | null {
  if (from[i] === to[j] && from[i] !== null) return [i + 1, j + 1];
  let [a, b] = [from[i], to[j]];
  let [p, q] = [i + 1, j + 1];
  while (typeof a === 'number' && typeof b === 'number' && a !== b) {
    if (a < b) {
      const next = from[p++];
      a = typeof next === 'number' ? a * next : undefined;
    } else {
      const next = to[q++];
      b = typeof next === 'number' ? b * next : undefined;
    }
  }
  return typeof a === 'number' && typeof b === 'number' ? [p, q] : null;
}

/** Labels of one run's new axes; null where they cannot follow. */
function moveUnits(ctx: Coupling, units: ValueUnits, from: readonly Dim[], to: readonly Dim[]): AxisUnits[] | null {
  const labelled = units.flatMap((axis, i) => (axis ? [i] : []));
  const [at = -1] = labelled;
  if (to.length === 1 && from.length === 1) return [nth(units, 0)];
  const beside = (dims: readonly Dim[], except: number): boolean => dims.every((dim, i) => i === except || dim === 1);
  if (labelled.length === 1 && beside(from, at)) {
    // an axis of its own, among ones
    const same = to.findIndex((dim) => dim === from[at]);
    if (same >= 0 && beside(to, same)) return to.map((_, i) => (i === same ? nth(units, at) : null));
  }
  const labels = units[at];
  if (labelled.length !== 1 || !labels) return null;
  if (!from.every((dim) => typeof dim === 'number') || !to.every((dim) => typeof dim === 'number'))
    return at === from.length - 1 ? lastOfOpenSegment(ctx, labels, to) : null;
  return cut(ctx, flatLabels(labels, from, at), to);
}

/**
 * Batch and heads in one open axis, [b, h * d] <-> [?, d]: whatever the axes before hold, the last ones are parts of
 * each other.
 */
function lastOfOpenSegment(ctx: Coupling, axis: Int32Array, to: readonly Dim[]): AxisUnits[] | null {
  const last = to.at(-1);
  if (typeof last !== 'number' || last < 2) return null;
  const before = to.slice(0, -1).map(() => null);
  if (axis.length % last === 0) return [...before, tieAcrossGroups(ctx, axis, axis.length / last)];
  return last % axis.length === 0 ? [...before, tiled(axis, last / axis.length)] : null;
}

/** The label of every element of the run, in row-major order. */
function flatLabels(axis: Int32Array, dims: readonly number[], at: number): Int32Array {
  const inner = elementCount(dims.slice(at + 1));
  const total = elementCount(dims);
  return Int32Array.from({ length: total }, (_, i) => axis[Math.floor(i / inner) % axis.length]!);
}

function cut(ctx: Coupling, flat: Int32Array, dims: readonly number[]): AxisUnits[] {
  const axes = dims.map((size, axis) => {
    const inner = elementCount(dims.slice(axis + 1));
    return { axis, size, indexOf: (element: number) => Math.floor(element / inner) % size };
  });
  const best = axes
    .filter(({ size }) => size > 1)
    .map((axis) => ({ ...axis, classes: classesAlong(ctx, flat, axis) }))
    .sort((a, b) => b.classes - a.classes)[0];
  if (!best || best.classes < 2) {
    ctx.freeze(flat);
    return dims.map(() => null);
  }
  const labels = new Int32Array(best.size).fill(-1);
  flat.forEach((unit, element) => {
    const index = best.indexOf(element);
    if (labels[index] === -1) labels[index] = unit;
    else ctx.unite(labels[index]!, unit);
  });
  return dims.map((_, axis) => (axis === best.axis ? labels : null));
}

/** How many classes of units would be left if those of equal index along the axis became one. */
function classesAlong(
  ctx: Coupling,
  flat: Int32Array,
  { size, indexOf }: { size: number; indexOf(element: number): number },
): number {
  const parent = new Map<number, number>();
  const find = (at: number): number => {
    while (parent.get(at) !== undefined && parent.get(at) !== at) at = parent.get(at)!;
    return at;
  };
  const seen = new Map<number, number>();
  flat.forEach((unit, element) => {
    const root = find(ctx.representative(unit));
    parent.set(root, root);
    const index = indexOf(element);
    const other = seen.get(index);
    if (other === undefined) seen.set(index, root);
    else parent.set(find(other), root);
  });
  const roots = new Set([...parent.keys()].map(find));
  return Math.min(size, roots.size);
}

export const transposition: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const units = ctx.input(0);
    const perm = units && (ctx.info.ints('perm') ?? units.map((_, i) => units.length - 1 - i));
    return [perm && perm.map((axis) => nth(units, axis < 0 ? axis + units.length : axis))];
  },
};

/**
 * Copies along axes of one: the copies are channels of their own. Along an axis that the input has, nothing is copied,
 * and the shape may say 1.
 */
export const expansion: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const units = ctx.input(0);
    const [from, to] = [ctx.info.types[0]?.shape, ctx.output(0)?.shape];
    if (!units || !from || !to || !canRewrite(ctx.info)) return [keepAll(ctx, units) && null];
    return [
      to.map((size, i) => {
        const at = i - (to.length - from.length);
        return at < 0 || from[at] === 1 ? copies(ctx, size) : nth(units, at);
      }),
    ];
  },
  shrink: (ctx) => {
    const rank = ctx.output(0).length - ctx.input(0).length;
    return rewrittenShape(
      ctx,
      ctx
        .output(0)
        .map((axis, i) => (ctx.shrinks(axis) ? (ctx.input(0)[i - rank] === axis ? 1 : ctx.size(axis)) : null)),
    );
  },
};

/** A tensor of one value can be of any size. */
export const filling: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const shape = ctx.output(0)?.shape;
    ctx.input(0);
    return [shape && canRewrite(ctx.info, 0) ? shape.map((size) => copies(ctx, size)) : null];
  },
  shrink: (ctx) =>
    rewrittenShape(
      ctx,
      ctx.output(0).map((axis) => (ctx.shrinks(axis) ? ctx.size(axis) : null)),
      0,
    ),
};

function copies(ctx: Coupling, size: Dim): AxisUnits {
  return typeof size === 'number' ? ctx.fresh(size) : null;
}

/** [n, c * b * b, h, w] -> [n, c, h * b, w * b]: the b * b channels of one block go together. */
export const depthToSpace: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const x = keepAll(ctx, ctx.input(0), (axis) => axis >= 2);
    if (!x) return [null];
    const blocks = ctx.info.int('blocksize', 1) ** 2;
    const [, channels] = x;
    if (!channels) return [x];
    const size = channels.length / blocks;
    const columnFirst = ctx.info.string('mode', 'DCR') === 'CRD'; // [c, b, b] instead of [b, b, c]
    const made = Int32Array.from({ length: size }, (_, c) => channels[columnFirst ? c * blocks : c]!);
    channels.forEach((unit, i) => ctx.unite(unit, made[columnFirst ? Math.floor(i / blocks) : i % size]!));
    if (size < 2) ctx.freeze(made);
    return [[nth(x, 0), size < 2 ? null : made, x[2] ?? null, x[3] ?? null]];
  },
};

/** [n, c, h, w] -> [n, b * b * c, h / b, w / b]; CRD: c * b * b. */
export const spaceToDepth: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const x = keepAll(ctx, ctx.input(0), (axis) => axis >= 2);
    const blocks = ctx.info.int('blocksize', 1) ** 2;
    const channels = x?.[1] ?? null;
    const made =
      ctx.info.string('mode', 'DCR') === 'CRD'
        ? channels && Int32Array.from({ length: channels.length * blocks }, (_, i) => channels[Math.floor(i / blocks)]!)
        : tiled(channels, blocks);
    return [x && [x[0] ?? null, made, x[2] ?? null, x[3] ?? null]];
  },
};
