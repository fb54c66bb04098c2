/** Layers that join several tensors. */
import { itemOf, mapTuple, tupleOf } from '../../../ir/checked-access.ts';
import { flag, input, number, type LayerContext, type LayerConverter } from '../layer.ts';
import { aligned, broadcast, positive, promoted } from '../operations/operation.ts';
import { onnxAxis, plain, plainSignal, range, typeOf, type Signal } from '../signal.ts';

/** Inputs with fewer axes get new ones after the batch. */
function sameRank({ b, inputs, name, maskOf, setMask }: LayerContext): Signal[] {
  const rank = Math.max(...inputs.map(({ shape }) => shape.length));
  return inputs.map((signal) => {
    const missing = rank - signal.shape.length;
    if (missing === 0) return signal;
    const wide = plainSignal(b.op('Unsqueeze', [plain(b, signal), b.ints(range(1, missing + 1))], {}, `${name}/wide`), [
      signal.shape[0] ?? null,
      ...range(0, missing).map(() => 1),
      ...signal.shape.slice(1),
    ]);
    setMask(wide, maskOf(signal));
    return wide;
  });
}

type ElementwiseType = 'Add' | 'Mul' | 'Sub' | 'Div' | 'Max' | 'Min' | 'Mean';

const elementwise =
  (opType: ElementwiseType): LayerConverter =>
  (ctx) => {
    const signals = sameRank(ctx);
    if (signals.length < 2) return input(ctx);
    if ((opType === 'Mul' || opType === 'Max' || opType === 'Min') && ctx.masks.some(Boolean))
      return masked(ctx, signals, opType);
    const { values, channelsFirst } = aligned(ctx.b, signals);
    const variadic = opType === 'Max' || opType === 'Min' || opType === 'Mean';
    const value = variadic
      ? ctx.b.op(opType, values, {}, `${ctx.name}/${opType.toLowerCase()}`)
      : values.reduce((sum, next) => ctx.b.op(opType, [sum, next], {}, `${ctx.name}/${opType.toLowerCase()}`));
    const result = { value, shape: broadcast(signals.map((signal) => signal.shape)), channelsFirst };
    if (ctx.masks.every((mask) => mask !== null)) ctx.setMask(result, anyOf(ctx, ctx.masks));
    return result;
  };

const anyOf = ({ b, name }: LayerContext, masks: readonly string[]): string =>
  masks.reduce((all, next) => b.op('Or', [all, next], {}, `${name}/mask`));

/**
 * Products take 1 where an input is masked, and become 0 where all are; an extreme takes the other tensor there. Keras
 * 3 does both by the masks of the tensors (`merging/multiply.py`, `merging/base_merge.py`); Keras 2 looks at none.
 */
function masked(ctx: LayerContext, signals: readonly Signal[], opType: 'Mul' | 'Max' | 'Min'): Signal {
  const { b, name, masks } = ctx;
  const values = signals.map((signal) => plain(b, signal));
  const shape = broadcast(signals.map((signal) => signal.shape));
  const wide = masks.map((mask) => mask && b.op('Unsqueeze', [mask, b.ints([-1])], {}, `${name}/mask`));
  const pick = (mask: string | null | undefined, x: string, other: string): string =>
    mask ? b.op('Where', [mask, x, other], {}, `${name}/kept`) : x;
  const all = masks.every((mask) => mask !== null);
  if (ctx.kerasMajor < 3)
    return withMask(
      plainSignal(
        values.reduce((sum, next) => b.op(opType, [sum, next], {}, `${name}/merge`)),
        shape,
      ),
    );
  const first = itemOf(values, 0, 'the list of inputs');
  let value = opType === 'Mul' ? pick(wide[0], first, b.scalar(1)) : first;
  let seen = wide[0] ?? null;
  for (const [i, x] of values.entries()) {
    if (i === 0) continue;
    const mask = wide[i];
    const next = pick(mask, x, opType === 'Mul' ? b.scalar(1) : value);
    if (opType !== 'Mul') value = pick(seen, value, next);
    value = b.op(opType, [value, next], {}, `${name}/merge`);
    seen = seen && mask ? b.op('Or', [seen, mask], {}, `${name}/seen`) : null;
  }
  if (opType === 'Mul' && all) value = pick(seen, value, b.scalar(0));
  return withMask(plainSignal(value, shape));

  function withMask(result: Signal): Signal {
    if (all) ctx.setMask(result, anyOf(ctx, masks));
    return result;
  }
}

const concatenate: LayerConverter = (ctx) => {
  const signals = promoted(ctx.b, ctx.inputs);
  const { values, channelsFirst } = aligned(ctx.b, signals);
  const first = signals[0] ?? input(ctx);
  const axis = number(ctx.config, 'axis', -1);
  const position = axis < 0 ? axis + first.shape.length : axis;
  const sizes = ctx.inputs.map((signal) => signal.shape[position] ?? null);
  const shape = first.shape.map((size, i) =>
    i === position
      ? sizes.reduce<number | null>((sum, next) => (sum === null || next === null ? null : sum + next), 0)
      : size,
  );
  const value = ctx.b.op(
    'Concat',
    values,
    { axis: onnxAxis({ value: '', shape, channelsFirst }, axis) },
    `${ctx.name}/concat`,
  );
  const result = { value, shape, channelsFirst, dtype: typeOf(first) };
  if (ctx.masks.some(Boolean)) ctx.setMask(result, joinedMask(ctx, position));
  return result;
};

/** A step counts where any of its joined features does; inputs without a mask count everywhere. */
function joinedMask({ b, name, inputs, masks }: LayerContext, axis: number): string {
  const whole = inputs.map((signal, i) => {
    const shape = b.op('Shape', [plain(b, signal)], {}, `${name}/mask_shape`);
    const mask = masks[i];
    return b.op(
      'Expand',
      [mask ? b.op('Unsqueeze', [mask, b.ints([-1])], {}, `${name}/mask`) : b.scalar(1, 'bool'), shape],
      {},
      `${name}/mask_wide`,
    );
  });
  const joined = b.op('Cast', [b.op('Concat', whole, { axis }, `${name}/masks`)], { to: 6 }, `${name}/mask_counts`);
  return b.op(
    'Cast',
    [b.op('ReduceMax', [joined, b.ints([-1])], { keepdims: 0 }, `${name}/mask_any`)],
    { to: 9 },
    `${name}/joined_mask`,
  );
}

/**
 * Batched dot product over one axis of each input: [n, left..., right...] without the summed axes, as Keras's
 * `batch_dot`; of two vectors [n, 1].
 */
const dot: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const given = config['axes'];
  const axes = Array.isArray(given) ? tupleOf(given.map(Number), 2, 'axes') : [Number(given), Number(given)];
  const operands = mapTuple([0, 1], (index) => {
    const signal = input(ctx, index);
    return { signal, axis: positive(itemOf(axes, index, 'axes'), signal.shape.length) };
  });
  const unit = flag(config, 'normalize', false);
  const [left, right] = mapTuple(operands, ({ signal, axis }) =>
    unit ? normalized(ctx, plain(b, signal), axis) : plain(b, signal),
  );
  const batch = operands[0].signal.shape[0] ?? null;
  if (operands.every(({ signal }) => signal.shape.length === 2)) {
    const products = b.op('Mul', [left, right], {}, `${name}/products`);
    return plainSignal(b.op('ReduceSum', [products, b.ints([1])], { keepdims: 1 }, `${name}/dot`), [batch, 1]);
  }
  const kept = operands.map(({ signal, axis }) => signal.shape.filter((_, own) => own !== 0 && own !== axis));
  const shape = [batch, ...kept.flat()];
  if (kept.every((own) => own.length === 1)) {
    const turned = (x: string, from: boolean): string =>
      from ? b.op('Transpose', [x], { perm: [0, 2, 1] }, `${name}/turned`) : x;
    return plainSignal(
      b.op('MatMul', [turned(left, operands[0].axis === 1), turned(right, operands[1].axis === 2)], {}, `${name}/dot`),
      shape,
    );
  }
  const letters = 'abcdefghijklmnopqrstuvwxy';
  const terms = operands.map(({ signal, axis }, i) =>
    signal.shape.map((_, own) => (own === 0 ? 'n' : own === axis ? 'z' : letters.charAt(i * 7 + own))).join(''),
  );
  const equation = `${terms.join(',')}->n${terms.map((own) => own.replace(/[nz]/g, '')).join('')}`;
  return plainSignal(b.op('Einsum', [left, right], { equation }, `${name}/dot`), shape);
};

/** x / sqrt(max(sum x^2, 1e-12)) */
function normalized({ b, name }: LayerContext, x: string, axis: number): string {
  const squares = b.op('ReduceSumSquare', [x, b.ints([axis])], { keepdims: 1 }, `${name}/squares`);
  return b.op(
    'Div',
    [x, b.op('Sqrt', [b.op('Max', [squares, b.scalar(1e-12)], {}, `${name}/floor`)], {}, `${name}/length`)],
    {},
    `${name}/unit`,
  );
}

export const MERGE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Add: elementwise('Add'),
  Subtract: elementwise('Sub'),
  Multiply: elementwise('Mul'),
  Average: elementwise('Mean'),
  Maximum: elementwise('Max'),
  Minimum: elementwise('Min'),
  Concatenate: concatenate,
  Dot: dot,
};
