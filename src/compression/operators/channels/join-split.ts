/** Operators that split and join axes: labels are split and joined as the elements are. */
import { nth } from '../../ir/checked-access.ts';
import type { AxisUnits } from './units.ts';
import type { Dim } from '../../ir/types.ts';
import type { NodeInfo } from '../../ir/node-info.ts';
import { resolveAxis } from '../shapes.ts';
import { int64Host, hostNumbers } from '../../ir/tensor-data.ts';
import {
  ints,
  keepAll,
  tiled,
  type ChannelRule,
  type Coupling,
  type Shrinking,
  type Shrunk,
  type ValueUnits,
} from './rule.ts';

export const concatenation: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const all = ctx.info.node.inputs.map((_, i) => ctx.input(i));
    const rank = all[0]?.length;
    if (rank === undefined || all.some((units) => units?.length !== rank)) {
      for (const units of all) keepAll(ctx, units);
      return [null];
    }
    const along = resolveAxis(ctx.info.int('axis', 0), rank);
    return [
      Array.from({ length: rank }, (_, axis) => {
        const parts = all.map((units): AxisUnits => units![axis] ?? null);
        return axis === along
          ? joined(
              ctx,
              parts,
              ctx.info.types.map((type) => type?.shape?.[axis] ?? null),
            )
          : parts.reduce((a, b) => ctx.same(a, b));
      }),
    ];
  },
};

/** A part that keeps all its channels has frozen labels among the others. */
function joined(ctx: Coupling, parts: readonly AxisUnits[], sizes: readonly Dim[]): AxisUnits {
  if (parts.every((part) => part === null)) return null;
  if (!sizes.every((size) => typeof size === 'number')) {
    for (const part of parts) ctx.freeze(part);
    return null;
  }
  return Int32Array.from(parts.flatMap((part, i) => Array.from(part ?? frozenUnits(ctx, sizes[i] as number))));
}

/** Labels that stay, of any number. */
function frozenUnits(ctx: Coupling, size: number): Int32Array {
  const units = ctx.fresh(Math.max(size, 2))!.subarray(0, size);
  ctx.freeze(units);
  return units;
}

/**
 * Equal parts become parts of given sizes where they are no longer equal: an attribute up to opset 12, input 1 since.
 */
export const splitting: ChannelRule = {
  kind: 'passes',
  couple: (ctx) => {
    const units = ctx.input(0);
    const outputs = ctx.info.node.outputs;
    if (!units) return outputs.map(() => null);
    const along = resolveAxis(ctx.info.int('axis', 0), units.length);
    const sizes = outputs.map((_, i) => ctx.output(i)?.shape?.[along]);
    const labels = nth(units, along);
    const known = sizes.every((size) => typeof size === 'number');
    if (!known) ctx.freeze(labels);
    let start = 0;
    return sizes.map((size) =>
      units.map((axis, i) => {
        if (i !== along) return axis;
        if (!labels || !known) return null;
        const part = labels.subarray(start, (start += size as number));
        if (part.length < 2) ctx.freeze(part);
        return part.length < 2 ? null : part;
      }),
    );
  },
  shrink: (ctx): Shrunk => {
    const along = resolveAxis(ctx.info.int('axis', 0), ctx.input(0).length);
    if (!ctx.shrinks(ctx.input(0)[along])) return {};
    const sizes = ctx.info.node.outputs.map((_, i) => {
      const axis = ctx.output(i)[along];
      return axis ? ctx.size(axis) : (ctx.outputType(i)!.shape![along] as number);
    });
    return ctx.info.opset < 13
      ? { attributes: { split: ints(sizes) } }
      : { attributes: { num_outputs: null }, constants: new Map([[1, int64Host(sizes)]]) };
  },
};

/** Along an axis: the first element taken, the step, and how many. */
export interface TakenRange {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** `rangeOf`: what a slice takes of an axis of this size; null where that is not known before running. */
export function slicing(
  rangeOf: (info: NodeInfo, rank: number, axis: number, size: number) => TakenRange | null,
  boundsAreInputsSince: number,
): ChannelRule {
  const shrunkRange = (ctx: Shrinking, axis: number): { axis: number; start: number; end: number } | null => {
    const labels = ctx.input(0)[axis];
    if (!ctx.shrinks(labels)) return null;
    const { start, count } = rangeOf(ctx.info, ctx.input(0).length, axis, labels.length)!;
    const kept = ctx.kept(labels);
    const before = kept.filter((i) => i < start).length;
    return { axis, start: before, end: before + kept.filter((i) => i >= start && i < start + count).length };
  };
  return {
    kind: 'passes',
    couple: (ctx) => {
      const units = ctx.input(0);
      return [
        units &&
          units.map((labels, axis) => {
            if (!labels) return null;
            const range = rangeOf(ctx.info, units.length, axis, labels.length);
            if (range?.step === 1 && range.count > 1)
              return range.count === labels.length ? labels : labels.subarray(range.start, range.start + range.count);
            ctx.freeze(labels);
            return null;
          }),
      ];
    },
    shrink: (ctx) => {
      const ranges = ctx.input(0).flatMap((_, axis) => shrunkRange(ctx, axis) ?? []);
      return ranges.length === 0 ? {} : rewrittenBounds(ctx, ranges, boundsAreInputsSince);
    },
  };
}

const FAR = 2 ** 31 - 1;

/** Bounds of the axes that shrink, beside the node's bounds of the others. */
function rewrittenBounds(
  ctx: Shrinking,
  ranges: readonly { axis: number; start: number; end: number }[],
  inputsSince: number,
): Shrunk {
  const old = (name: string, input: number): readonly number[] | null => {
    if (ctx.info.opset < inputsSince) return ctx.info.ints(name) ?? null;
    const value = ctx.info.constant(input);
    return value && hostNumbers(value);
  };
  const starts = old('starts', 1) ?? [];
  const ends = old('ends', 2) ?? [];
  const axes = (old('axes', 3) ?? starts.map((_, i) => i)).map((axis) => resolveAxis(axis, ctx.input(0).length));
  const steps = old('steps', 4) ?? starts.map(() => 1);
  const rest = axes.flatMap((axis, i) =>
    ranges.some((range) => range.axis === axis)
      ? []
      : [{ axis, start: nth(starts, i), end: Math.max(Math.min(nth(ends, i), FAR), -FAR), step: nth(steps, i) }],
  );
  const all = [...rest, ...ranges.map((range) => ({ ...range, step: 1 }))];
  const lists = {
    starts: all.map(({ start }) => start),
    ends: all.map(({ end }) => end),
    axes: all.map(({ axis }) => axis),
    steps: all.map(({ step }) => step),
  };
  if (ctx.info.opset < inputsSince)
    return { attributes: { starts: ints(lists.starts), ends: ints(lists.ends), axes: ints(lists.axes) } };
  return {
    constants: new Map([
      [1, int64Host(lists.starts)],
      [2, int64Host(lists.ends)],
      [3, int64Host(lists.axes)],
      [4, int64Host(lists.steps)],
    ]),
  };
}

/** Elements put before and after an axis, and whether they are a constant. */
export interface PadAmounts {
  readonly begins: readonly number[];
  readonly ends: readonly number[];
  readonly constant: boolean;
}

/**
 * Constant channels beside others may be removed with them (the shortcut of a ResNet without projections, He et al.
 * 2015, option A).
 */
export function padding(padsOf: (info: NodeInfo, rank: number) => PadAmounts | null): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const units = ctx.input(0);
      const pads = units && padsOf(ctx.info, units.length);
      return [
        units &&
          units.map((labels, axis) => {
            const [begin, end] = [pads?.begins[axis] ?? 0, pads?.ends[axis] ?? 0];
            if (!labels || (pads && begin === 0 && end === 0)) return labels;
            if (!pads?.constant || begin < 0 || end < 0) {
              ctx.freeze(labels);
              return null;
            }
            const extra = ctx.fresh(Math.max(begin + end, 2))!;
            return Int32Array.from([...extra.subarray(0, begin), ...labels, ...extra.subarray(begin, begin + end)]);
          }),
      ];
    },
    shrink: (ctx) => {
      const rank = ctx.input(0).length;
      const pads = padsOf(ctx.info, rank);
      if (!pads || !ctx.output(0).some((axis, i) => ctx.shrinks(axis) && nth(pads.begins, i) + nth(pads.ends, i) > 0))
        return {};
      const stay = (axis: number, from: number, to: number): number => {
        const labels = ctx.output(0)[axis];
        return ctx.shrinks(labels) ? ctx.kept(labels).filter((i) => i >= from && i < to).length : to - from;
      };
      const begins = pads.begins.map((begin, axis) => (begin > 0 ? stay(axis, 0, begin) : begin));
      const ends = pads.ends.map((end, axis) => {
        const length = ctx.output(0)[axis]?.length ?? end;
        return end > 0 ? stay(axis, length - end, length) : end;
      });
      if (ctx.info.opset < 11) return { attributes: { pads: ints([...begins, ...ends]) } };
      const axes: [number, ReturnType<typeof int64Host>][] = ctx.info.node.inputs[3]
        ? [[3, int64Host(begins.map((_, i) => i))]]
        : [];
      return { constants: new Map([[1, int64Host([...begins, ...ends])], ...axes]) };
    },
  };
}

/** `repeatsOf`: how often each axis is repeated; null where that is not known before running. */
export function repetition(repeatsOf: (info: NodeInfo) => readonly number[] | null): ChannelRule {
  return {
    kind: 'passes',
    couple: (ctx) => {
      const units = ctx.input(0);
      const repeats = repeatsOf(ctx.info);
      return [
        units &&
          units.map((labels, axis) => {
            if (labels && repeats?.[axis] !== undefined) return tiled(labels, repeats[axis]);
            ctx.freeze(labels);
            return null;
          }),
      ];
    },
  };
}

/**
 * Rows of a table: along the gathered axis, constant indices carry their labels along; computed indices keep all rows.
 */
export const gathering: ChannelRule = {
  kind: 'removes',
  couple: (ctx) => {
    const [units, indices] = [ctx.input(0), ctx.input(1)];
    const rank = ctx.info.types[1]?.shape?.length;
    if (!units || rank === undefined) {
      for (const value of [units, indices]) keepAll(ctx, value);
      return [null];
    }
    const along = resolveAxis(ctx.info.int('axis', 0), units.length);
    const columns = nth(units, -1);
    if (ctx.isWeight(0) && along !== units.length - 1) ctx.makes(columns);
    const taken = takenUnits(ctx, nth(units, along));
    const places: ValueUnits = rank === 1 && taken ? [taken] : (indices ?? new Array<AxisUnits>(rank).fill(null));
    if (!(rank === 1 && taken)) keepAll(ctx, indices);
    return [[...units.slice(0, along), ...places, ...units.slice(along + 1)]];
  },
  shrink: (ctx) => {
    const units = ctx.input(0);
    const labels = units[resolveAxis(ctx.info.int('axis', 0), units.length)];
    if (!ctx.shrinks(labels)) return {};
    const kept = ctx.kept(labels);
    const places = indicesOf(ctx.info, labels.length)!
      .map((index) => kept.indexOf(index))
      .filter((place) => place >= 0);
    const { dtype, dims } = ctx.info.constant(1)!;
    const values = int64Host(places);
    return {
      constants: new Map([
        [
          1,
          {
            ...(dtype === 'int64' ? values : { dtype, data: Int32Array.from(places) }),
            dims: dims.length === 0 ? [] : [places.length],
          },
        ],
      ]),
    };
  },
};

/** Constant indices, counted from the start. */
function indicesOf(info: NodeInfo, size: number): number[] | null {
  const constant = info.constant(1);
  return constant && hostNumbers(constant).map((index) => resolveAxis(index, size));
}

/** Labels of a list of channels; a single channel that is taken out, or a choice made while running, stays. */
function takenUnits(ctx: Coupling, labels: AxisUnits): AxisUnits {
  if (!labels) return null;
  const indices = indicesOf(ctx.info, labels.length);
  const listed = ctx.info.types[1]?.shape?.length === 1 && (indices?.length ?? 0) > 1;
  if (indices && listed) return Int32Array.from(indices, (index) => nth(labels, index));
  if (indices) for (const index of indices) ctx.freezeUnit(nth(labels, index));
  else ctx.freeze(labels);
  return null;
}
