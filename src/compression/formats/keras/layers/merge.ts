/** Layers that join several tensors. */
import { input, number, flag, UnsupportedLayer, type LayerContext, type LayerConverter } from '../layer.ts';
import { image, onnxAxis, plain, plainSignal, type Shape } from '../signal.ts';

/** All inputs in one order of axes: channels first where all of them can be (same rank >= 3, and one already is). */
function aligned({ b, inputs }: LayerContext): { values: string[]; channelsFirst: boolean } {
  const rank = inputs[0]?.shape.length ?? 0;
  const channelsFirst = inputs.some((signal) => signal.channelsFirst) && inputs.every((signal) => signal.shape.length === rank);
  return { values: inputs.map((signal) => (channelsFirst ? image(b, signal, 'channels_last') : plain(b, signal))), channelsFirst };
}

/** Numpy's broadcasting of shapes. */
function broadcast(shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length]).filter((size) => size !== undefined && size !== 1);
    return sizes.length === 0 ? 1 : sizes.find((size) => size !== null) ?? null;
  });
}

const elementwise = (opType: 'Add' | 'Mul' | 'Sub' | 'Div' | 'Max' | 'Min' | 'Mean'): LayerConverter => (ctx) => {
  const { values, channelsFirst } = aligned(ctx);
  if (values.length < 2) return input(ctx);
  const variadic = opType === 'Max' || opType === 'Min' || opType === 'Mean';
  const value = variadic
    ? ctx.b.op(opType, values, {}, `${ctx.name}/${opType.toLowerCase()}`)
    : values.reduce((sum, next) => ctx.b.op(opType, [sum, next], {}, `${ctx.name}/${opType.toLowerCase()}`));
  return { value, shape: broadcast(ctx.inputs.map((signal) => signal.shape)), channelsFirst };
};

const concatenate: LayerConverter = (ctx) => {
  const { values, channelsFirst } = aligned(ctx);
  const first = input(ctx);
  const axis = number(ctx.config, 'axis', -1);
  const position = axis < 0 ? axis + first.shape.length : axis;
  const sizes = ctx.inputs.map((signal) => signal.shape[position] ?? null);
  const shape = first.shape.map((size, i) => (i === position ? sizes.reduce<number | null>((sum, next) => (sum === null || next === null ? null : sum + next), 0) : size));
  const value = ctx.b.op('Concat', values, { axis: onnxAxis({ value: '', shape, channelsFirst }, axis) }, `${ctx.name}/concat`);
  return { value, shape, channelsFirst };
};

/** Batched dot product over one axis of each input, of rank 2 or 3. */
const dot: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const [left, right] = [input(ctx, 0), input(ctx, 1)];
  const given = config['axes'];
  const axes = (Array.isArray(given) ? given.map(Number) : [Number(given), Number(given)]).map((axis, i) => (axis < 0 ? axis + ctx.inputs[i]!.shape.length : axis));
  const unit = flag(config, 'normalize', false);
  const prepared = [left, right].map((signal, i) => (unit ? b.op('LpNormalization', [plain(b, signal)], { axis: axes[i]!, p: 2 }, `${name}/unit_${i}`) : plain(b, signal)));
  if (left.shape.length === 2 && right.shape.length === 2) {
    const products = b.op('Mul', prepared, {}, `${name}/products`);
    return plainSignal(b.op('ReduceSum', [products, b.ints([1])], { keepdims: 1 }, `${name}/dot`), [left.shape[0] ?? null, 1]);
  }
  if (left.shape.length !== 3 || right.shape.length !== 3) throw new UnsupportedLayer('Dot of tensors of other ranks than 2 and 3');
  const a = axes[0] === 2 ? prepared[0]! : b.op('Transpose', [prepared[0]!], { perm: [0, 2, 1] }, `${name}/left`);
  const c = axes[1] === 1 ? prepared[1]! : b.op('Transpose', [prepared[1]!], { perm: [0, 2, 1] }, `${name}/right`);
  return plainSignal(b.op('MatMul', [a, c], {}, `${name}/dot`), [left.shape[0] ?? null, left.shape[axes[0] === 2 ? 1 : 2] ?? null, right.shape[axes[1] === 1 ? 2 : 1] ?? null]);
};

export const MERGE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Add: elementwise('Add'), Subtract: elementwise('Sub'), Multiply: elementwise('Mul'), Average: elementwise('Mean'),
  Maximum: elementwise('Max'), Minimum: elementwise('Min'), Concatenate: concatenate, Dot: dot,
};
