/** Convolution [out, in / groups, ...k] and transposed convolution [in, out / groups, ...k]; x [n, c, ...]. */
import { shapeOf } from '../shapes.ts';
import { nth } from '../../ir/checked-access.ts';
import type { AxisUnits } from './units.ts';
import {
  tieAcrossGroups,
  int,
  keepAll,
  repeated,
  tiled,
  type ChannelRule,
  type Coupling,
  type Shrinking,
  type ValueUnits,
} from './rule.ts';

interface Parts {
  readonly x: ValueUnits;
  readonly weight: ValueUnits;
  readonly groups: number;
  readonly dims: readonly number[];
}

/** Rule of a convolution. `addend`: the input that is added to the result before its activation (FusedConv). */
export function convolution(addend?: number): ChannelRule {
  return {
    kind: 'removes',
    couple: (ctx) => {
      const parts = partsOf(ctx);
      if (!parts) return refuse(ctx, addend);
      const { x, weight, groups, dims } = parts;
      const made = isDepthwise(parts, nth(dims, 1) * groups)
        ? depthwise(ctx, nth(x, 1), nth(weight, 0), nth(dims, 0) / groups)
        : grouped(ctx, parts);
      const bias = ctx.input(2);
      const channels = bias ? ctx.same(made, bias[0] ?? null) : made;
      const y = [nth(x, 0), channels, ...x.slice(2).map(() => null)];
      return [addend === undefined ? y : added(ctx, y, addend)];
    },
    shrink: (ctx) => regroup(ctx, (dims, groups) => dims[1] === 1 && groups > 1),
  };
}

export const transposedConvolution: ChannelRule = {
  kind: 'removes',
  couple: (ctx) => {
    const parts = partsOf(ctx);
    if (!parts) return refuse(ctx);
    const { x, weight, dims } = parts;
    const made = isDepthwise(parts, nth(dims, 0)) ? depthwiseTransposed(ctx, parts) : groupedTransposed(ctx, parts);
    const bias = ctx.input(2);
    return [[nth(x, 0), bias ? ctx.same(made, bias[0] ?? null) : made, ...weight.slice(2).map(() => null)]];
  },
  shrink: (ctx) => regroup(ctx, (dims, groups) => dims[0] === groups && groups > 1),
};

function partsOf(ctx: Coupling): Parts | null {
  const [x, weight, dims] = [ctx.input(0), ctx.input(1), ctx.info.types[1]?.shape];
  if (!x || !weight || !dims?.every((dim) => typeof dim === 'number')) return null;
  for (const units of [x, weight]) keepAll(ctx, units, (axis) => axis >= 2);
  return { x, weight, dims: dims, groups: ctx.info.int('group', 1) };
}

function refuse(ctx: Coupling, addend?: number): [null] {
  for (const input of [0, 1, 2, ...(addend === undefined ? [] : [addend])]) keepAll(ctx, ctx.input(input));
  return [null];
}

/** As many groups as input channels: each output channel reads one input channel. */
function isDepthwise({ groups }: Parts, inputs: number): boolean {
  return groups > 1 && groups === inputs;
}

/** `multiplier` output channels go with each input channel. */
function depthwise(ctx: Coupling, input: AxisUnits, filters: AxisUnits, multiplier: number): AxisUnits {
  const made = ctx.same(filters, repeated(input, multiplier));
  ctx.makes(made);
  return made;
}

/** All groups lose the same input and output channels, so that they stay equally large. */
function grouped(ctx: Coupling, { x, weight, groups }: Parts): AxisUnits {
  const read = groups === 1 ? nth(x, 1) : tieAcrossGroups(ctx, nth(x, 1), groups);
  ctx.same(read, nth(weight, 1));
  tieAcrossGroups(ctx, nth(weight, 0), groups);
  ctx.makes(nth(weight, 0));
  return nth(weight, 0);
}

function depthwiseTransposed(ctx: Coupling, { x, weight, dims }: Parts): AxisUnits {
  ctx.freeze(nth(weight, 1));
  return repeated(ctx.same(nth(x, 1), nth(weight, 0)), nth(dims, 1));
}

function groupedTransposed(ctx: Coupling, { x, weight, groups }: Parts): AxisUnits {
  tieAcrossGroups(ctx, ctx.same(nth(x, 1), nth(weight, 0)), groups);
  ctx.makes(nth(weight, 1));
  return tiled(nth(weight, 1), groups);
}

function added(ctx: Coupling, y: ValueUnits, addend: number): ValueUnits {
  const other = ctx.input(addend);
  return other?.length === y.length ? y.map((axis, i) => ctx.same(axis, nth(other, i))) : y;
}

function regroup(
  ctx: Shrinking,
  isDepthwiseConv: (dims: readonly number[], groups: number) => boolean,
): { attributes?: { group: ReturnType<typeof int> } } {
  const channels = ctx.input(0)[1];
  const dims = shapeOf(ctx.info, 1) as readonly number[];
  return ctx.shrinks(channels) && isDepthwiseConv(dims, ctx.info.int('group', 1))
    ? { attributes: { group: int(ctx.size(channels)) } }
    : {};
}
