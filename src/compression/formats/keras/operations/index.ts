/** Parts of tensors by index: slices, single places, gathering. */
import { isList, isSignal, type Argument } from '../argument.ts';
import { UnsupportedLayer } from '../layer.ts';
import { cast, plain, plainSignal, range, typeOf } from '../signal.ts';
import { argument, numberOf, positive, tensor, type Operation } from './operation.ts';

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

const END = Number.MAX_SAFE_INTEGER;

/** Size of numpy's slice of an axis. */
function cutSize(size: number | null, { start, end, step }: Cut): number | null {
  if (size === null) return null;
  const clamp = (place: number): number =>
    Math.min(Math.max(place < 0 ? place + size : place, step > 0 ? 0 : -1), step > 0 ? size : size - 1);
  return Math.max(Math.ceil((clamp(end) - clamp(start)) / step), 0);
}

/** An index per axis: `...` filled up, new axes left in place as null. */
function perAxis(index: Argument, rank: number): Argument[] {
  const list = isList(index) ? [...index] : [index];
  const isEllipsis = (one: Argument): boolean =>
    typeof one === 'object' && one !== null && 'kind' in one && one.kind === 'ellipsis';
  const all: Argument = { kind: 'slice', start: null, stop: null, step: null };
  const missing = range(0, rank - list.filter((one) => one !== null && !isEllipsis(one)).length).map(() => all);
  const at = list.findIndex(isEllipsis);
  return at < 0 ? [...list, ...missing] : [...list.slice(0, at), ...missing, ...list.slice(at + 1)];
}

const getItem: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = tensor(ctx, 0);
  const index = perAxis(argument(ctx, 1, 'key') ?? argument(ctx, 1, 'slice_spec') ?? null, x.shape.length);
  const cuts: (Cut & { axis: number })[] = [];
  const single: { axis: number; place: number }[] = [];
  const added: number[] = [];
  const shape: (number | null)[] = [];
  let axis = 0;
  for (const one of index) {
    if (one === null) {
      added.push(shape.length);
      shape.push(1);
      continue;
    }
    if (typeof one === 'number') single.push({ axis, place: one });
    else if (typeof one === 'object' && 'kind' in one && one.kind === 'slice') {
      const step = one.step ?? 1;
      const cut = { axis, start: one.start ?? (step > 0 ? 0 : -1), end: one.stop ?? (step > 0 ? END : -END), step };
      const whole = cut.start === 0 && cut.end === END && step === 1;
      if (!whole) cuts.push(cut);
      shape.push(whole ? (x.shape[axis] ?? null) : cutSize(x.shape[axis] ?? null, cut));
    } else throw new UnsupportedLayer('an index that is a tensor or a list is not supported');
    axis++;
  }
  let value = plain(b, x);
  const of = (pick: (cut: (typeof cuts)[number]) => number): string => b.ints(cuts.map(pick));
  if (cuts.length > 0)
    value = b.op(
      'Slice',
      [value, of(({ start }) => start), of(({ end }) => end), of((cut) => cut.axis), of(({ step }) => step)],
      {},
      `${name}/slice`,
    );
  for (const { axis: at, place } of single.reverse())
    value = b.op('Gather', [value, b.scalar(place, 'int64')], { axis: at }, `${name}/item`);
  if (added.length > 0) value = b.op('Unsqueeze', [value, b.ints(added)], {}, `${name}/axes`);
  return plainSignal(value, shape, typeOf(x));
};

const take: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axis = argument(ctx, 2, 'axis');
  if (typeof axis !== 'number') throw new UnsupportedLayer('elements taken from a flattened tensor are not supported');
  const indices = cast(ctx.b, tensor(ctx, 1, 'indices'), 'int64');
  const at = positive(axis, x.shape.length);
  const value = ctx.b.op('Gather', [plain(ctx.b, x), plain(ctx.b, indices)], { axis: at }, ctx.name);
  return plainSignal(value, [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)], typeOf(x));
};

const takeAlongAxis: Operation = (ctx) => {
  const x = tensor(ctx, 0);
  const axis = argument(ctx, 2, 'axis');
  if (typeof axis !== 'number') throw new UnsupportedLayer('elements taken from a flattened tensor are not supported');
  const indices = cast(ctx.b, tensor(ctx, 1, 'indices'), 'int64');
  return plainSignal(
    ctx.b.op(
      'GatherElements',
      [plain(ctx.b, x), plain(ctx.b, indices)],
      { axis: positive(axis, x.shape.length) },
      ctx.name,
    ),
    indices.shape,
    typeOf(x),
  );
};

/** Comparison with 0 ... n - 1: an index out of range gives zeros, as in Keras. */
const oneHot: Operation = (ctx) => {
  const { b, name } = ctx;
  const x = cast(b, tensor(ctx, 0), 'int64');
  if (!isSignal(ctx.args[0])) throw new UnsupportedLayer('a one-hot code of constants is not supported');
  const classes = numberOf(ctx, 1, 'num_classes', 0);
  const axis = positive(numberOf(ctx, 2, 'axis', -1), x.shape.length + 1);
  const hot = b.op(
    'Equal',
    [b.op('Unsqueeze', [plain(b, x), b.ints([axis])], {}, `${name}/wide`), oneHotClasses(axis, x.shape.length + 1)],
    {},
    `${name}/hot`,
  );
  return plainSignal(b.op('Cast', [hot], { to: 1 }, name), [
    ...x.shape.slice(0, axis),
    classes,
    ...x.shape.slice(axis),
  ]);

  function oneHotClasses(at: number, rank: number): string {
    return b.weight(
      `${name}/classes`,
      range(0, rank).map((i) => (i === at ? classes : 1)),
      range(0, classes),
      'int64',
    );
  }
};

export const INDEX_OPERATIONS: Readonly<Record<string, Operation>> = {
  GetItem: getItem,
  Take: take,
  TakeAlongAxis: takeAlongAxis,
  OneHot: oneHot,
};
