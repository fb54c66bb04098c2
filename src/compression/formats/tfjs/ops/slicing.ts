/** Slice and StridedSlice, whose bounds may be computed at run time. */
import {
  at,
  elementsAt,
  int,
  int64At,
  numbersAt,
  plain,
  plainValue,
  type NodeContext,
  type NodeConverter,
} from '../node.ts';

const END = Number.MAX_SAFE_INTEGER;

/** One bound as a vector of one int64: a number, or taken from an input that is computed. */
type Bound = number | string;

function boundsOf(ctx: NodeContext, index: number): (i: number) => Bound {
  const { constant } = at(ctx, index);
  if (constant) return (i) => constant.values[i]!;
  const vector = int64At(ctx, index);
  const { b, node } = ctx;
  return (i) => b.op('Slice', [vector, b.ints([i]), b.ints([i + 1]), b.ints([0])], {}, `${node.name}/bound`);
}

/** The bounds as one input of ONNX's Slice. */
function joined({ b, node }: NodeContext, bounds: readonly Bound[]): string {
  if (bounds.every((bound) => typeof bound === 'number')) return b.ints(bounds);
  return b.op(
    'Concat',
    bounds.map((bound) => (typeof bound === 'number' ? b.ints([bound]) : bound)),
    { axis: 0 },
    `${node.name}/bounds`,
  );
}

/** Where `from + size` lies; `whole`: the value of `size` that means the rest of the axis. */
function endOf(
  { b, node }: NodeContext,
  from: Bound,
  size: Bound,
  isRest: (from: Bound, size: Bound) => Bound | boolean,
): Bound {
  const rest = isRest(from, size);
  if (rest === true) return END;
  if (typeof from === 'number' && typeof size === 'number') return from + size;
  const tensor = (bound: Bound): string => (typeof bound === 'number' ? b.ints([bound]) : bound);
  const end = b.op('Add', [tensor(from), tensor(size)], {}, `${node.name}/end`);
  return typeof rest === 'string' ? b.op('Where', [rest, b.ints([END]), end], {}, `${node.name}/bounded`) : end;
}

/** begin and size per axis; a size of -1 is the rest of the axis. */
export const slice: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const length = (elementsAt(ctx, 1) ?? elementsAt(ctx, 2))?.length;
  if (length === undefined) {
    // Both are computed: as whole vectors.
    const [begin, size] = [int64At(ctx, 1), int64At(ctx, 2)];
    const end = b.op(
      'Where',
      [
        b.op('Equal', [size, b.ints([-1])], {}, `${node.name}/rest`),
        b.ints([END]),
        b.op('Add', [begin, size], {}, `${node.name}/sum`),
      ],
      {},
      `${node.name}/end`,
    );
    return plainValue(b.op('Slice', [plain(ctx, 0), begin, end], {}, node.name));
  }
  const [beginAt, sizeAt] = [boundsOf(ctx, 1), boundsOf(ctx, 2)];
  const begin = Array.from({ length }, (_, i) => beginAt(i));
  const isRest = (_: Bound, size: Bound) =>
    typeof size === 'number' ? size === -1 : b.op('Equal', [size, b.ints([-1])], {}, `${node.name}/rest`);
  const ends = begin.map((from, i) => endOf(ctx, from, sizeAt(i), isRest));
  return plainValue(
    b.op(
      'Slice',
      [plain(ctx, 0), joined(ctx, begin), joined(ctx, ends), b.ints(begin.map((_, i) => i))],
      {},
      node.name,
    ),
  );
};

interface SliceBounds {
  readonly from: Bound;
  readonly to: Bound;
  readonly step: number;
}

/** The first input's slice, with bounds for each of the axes. */
function sliceAlong(ctx: NodeContext, bounds: readonly SliceBounds[], axes: readonly number[]): string {
  const { b, node } = ctx;
  const x = plain(ctx, 0);
  const from = joined(
    ctx,
    bounds.map((bound) => bound.from),
  );
  const to = joined(
    ctx,
    bounds.map((bound) => bound.to),
  );
  const steps = bounds.map(({ step }) => step);
  return b.op('Slice', [x, from, to, b.ints(axes), b.ints(steps)], {}, `${node.name}/slice`);
}

/**
 * With its five masks: begin and end (open ends), shrink (drops the axis), new axis, ellipsis (counts from the end
 * after it).
 */
export const stridedSlice: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const [beginAt, endAt, strides] = [boundsOf(ctx, 1), boundsOf(ctx, 2), numbersAt(ctx, 3, 'strides')];
  const mask = (name: string, i: number): boolean => ((int(ctx, name, 0) >> i) & 1) === 1;
  const specs = strides.map((_, i) => i);
  const ellipsis = specs.findIndex((i) => mask('ellipsis_mask', i));
  const axisOf = (i: number): number => {
    const consumed = (range: readonly number[]): number => range.filter((k) => !mask('new_axis_mask', k)).length;
    return ellipsis !== -1 && i > ellipsis ? -consumed(specs.slice(i)) : consumed(specs.slice(0, i));
  };
  const sliced = specs.filter((i) => i !== ellipsis && !mask('new_axis_mask', i));
  const isLast = (from: Bound) =>
    typeof from === 'number' ? from === -1 : b.op('Equal', [from, b.ints([-1])], {}, `${node.name}/last`);
  const bounds = sliced.map((i): SliceBounds => {
    const step = strides[i]!;
    if (mask('shrink_axis_mask', i)) {
      const from = beginAt(i);
      return { from, to: endOf(ctx, from, 1, isLast), step: 1 };
    }
    const backwards = step < 0;
    return {
      from: mask('begin_mask', i) ? (backwards ? END : 0) : beginAt(i),
      to: mask('end_mask', i) ? (backwards ? -END : END) : endAt(i),
      step,
    };
  });
  let value = sliceAlong(ctx, bounds, sliced.map(axisOf));
  const dropped = sliced.filter((i) => mask('shrink_axis_mask', i)).map(axisOf);
  if (dropped.length > 0) value = b.op('Squeeze', [value, b.ints(dropped)], {}, `${node.name}/shrunk`);
  const added = specs.filter((i) => mask('new_axis_mask', i));
  if (added.length === 0) return plainValue(value);
  // The place of a new axis in the result does not count dropped axes before it.
  const positions = added.map((i) => {
    if (ellipsis !== -1 && i > ellipsis) return -specs.slice(i).filter((k) => !mask('shrink_axis_mask', k)).length;
    return specs.slice(0, i).filter((k) => k !== ellipsis && !mask('shrink_axis_mask', k)).length;
  });
  return plainValue(b.op('Unsqueeze', [value, b.ints(positions)], {}, node.name));
};
