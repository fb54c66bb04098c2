/** Arithmetic, comparison and activations. */
import { itemOf, mapTuple } from '../../../ir/checked-access.ts';
import {
  onnxType,
  UnsupportedNode,
  at,
  float,
  numberAt,
  plain,
  plainValue,
  typeOf,
  weightOf,
  type NodeContext,
  type NodeConverter,
  type TfValue,
} from '../node.ts';
import type { AttributeValue } from '../../../ir/edit.ts';

export const unary =
  (opType: string, attributes: Readonly<Record<string, AttributeValue>> = {}): NodeConverter =>
  (ctx) => {
    const { value, channelsFirst } = at(ctx, 0);
    return { value: ctx.b.op(opType, [value], attributes, ctx.node.name), channelsFirst, constant: null };
  };

/**
 * Both operands in one order of axes: channels first stays where the other is an image too, a scalar, or a constant per
 * channel.
 */
export function aligned(ctx: NodeContext): { values: [string, string]; channelsFirst: boolean } {
  const operands = [at(ctx, 0), at(ctx, 1)] as const;
  if (!operands.some((operand) => operand.channelsFirst))
    return { values: [operands[0].value, operands[1].value], channelsFirst: false };
  const [x, y] = mapTuple(operands, (operand) => channelsFirst(ctx, operand));
  if (x !== null && y !== null) return { values: [x, y], channelsFirst: true };
  return { values: [plain(ctx, 0), plain(ctx, 1)], channelsFirst: false };
}

/** The operand in a form that broadcasts against [n, c, h, w]; null where only TensorFlow's order works. */
function channelsFirst(ctx: NodeContext, operand: TfValue): string | null {
  if (operand.channelsFirst) return operand.value;
  const { constant } = operand;
  if (!constant) return null;
  if (constant.values.length === 1)
    return weightOf(ctx, constant, { layout: 'scalar', dims: [], values: constant.values, dtype: constant.dtype });
  const channels = itemOf(constant.dims, -1, 'the shape of the constant');
  return constant.values.length === channels
    ? weightOf(ctx, constant, {
        layout: 'per channel',
        dims: [channels, 1, 1],
        values: constant.values,
        dtype: constant.dtype,
      })
    : null;
}

export const binary =
  (opType: string): NodeConverter =>
  (ctx) => {
    const { values, channelsFirst } = aligned(ctx);
    return { value: ctx.b.op(opType, values, {}, ctx.node.name), channelsFirst, constant: null };
  };

const negated =
  (opType: string): NodeConverter =>
  (ctx) => {
    const { values, channelsFirst } = aligned(ctx);
    return {
      value: ctx.b.op('Not', [ctx.b.op(opType, values, {}, `${ctx.node.name}/equal`)], {}, ctx.node.name),
      channelsFirst,
      constant: null,
    };
  };

const clip =
  (low: number, high: number): NodeConverter =>
  (ctx) => {
    const { value, channelsFirst } = at(ctx, 0);
    return {
      value: ctx.b.op('Clip', [value, ctx.b.scalar(low), ctx.b.scalar(high)], {}, ctx.node.name),
      channelsFirst,
      constant: null,
    };
  };

const divNoNan: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const {
    values: [x, y],
    channelsFirst,
  } = aligned(ctx);
  const zero = b.op('Equal', [y, b.scalar(0)], {}, `${node.name}/zero`);
  return {
    value: b.op('Where', [zero, b.scalar(0), b.op('Div', [x, y], {}, `${node.name}/div`)], {}, node.name),
    channelsFirst,
    constant: null,
  };
};

const squaredDifference: NodeConverter = (ctx) => {
  const { values, channelsFirst } = aligned(ctx);
  const difference = ctx.b.op('Sub', values, {}, `${ctx.node.name}/difference`);
  return { value: ctx.b.op('Mul', [difference, difference], {}, ctx.node.name), channelsFirst, constant: null };
};

/** The angle of (x, y): the arc tangent of y / x, turned by half a circle left of the origin; 0 in the origin. */
const atan2: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const {
    values: [y, x],
    channelsFirst,
  } = aligned(ctx);
  const zero = b.scalar(0);
  const angle = b.op('Atan', [b.op('Div', [y, x], {}, `${node.name}/slope`)], {}, `${node.name}/angle`);
  const half = b.op(
    'Where',
    [b.op('Less', [y, zero], {}, `${node.name}/below`), b.scalar(-Math.PI), b.scalar(Math.PI)],
    {},
    `${node.name}/half_turn`,
  );
  const turned = b.op(
    'Where',
    [b.op('Less', [x, zero], {}, `${node.name}/left`), b.op('Add', [angle, half], {}, `${node.name}/turned`), angle],
    {},
    `${node.name}/full`,
  );
  const origin = b.op(
    'And',
    [b.op('Equal', [x, zero], {}, `${node.name}/x_is_zero`), b.op('Equal', [y, zero], {}, `${node.name}/y_is_zero`)],
    {},
    `${node.name}/origin`,
  );
  return { value: b.op('Where', [origin, zero, turned], {}, node.name), channelsFirst, constant: null };
};

const floorDiv: NodeConverter = (ctx) => {
  const { b, node } = ctx;
  const { values, channelsFirst } = aligned(ctx);
  if (typeOf(node.attr?.['T']?.type) === 'float32')
    return {
      value: b.op('Floor', [b.op('Div', values, {}, `${node.name}/div`)], {}, node.name),
      channelsFirst,
      constant: null,
    };
  // Integers: (x - mod(x, y)) / y is exact, and rounds towards minus infinity as TensorFlow does.
  const [x, y] = values;
  const rest = b.op('Mod', [x, y], {}, `${node.name}/mod`);
  return {
    value: b.op('Div', [b.op('Sub', [x, rest], {}, `${node.name}/whole`), y], {}, node.name),
    channelsFirst,
    constant: null,
  };
};

const square: NodeConverter = (ctx) => {
  const { value, channelsFirst } = at(ctx, 0);
  return { value: ctx.b.op('Mul', [value, value], {}, ctx.node.name), channelsFirst, constant: null };
};

const rsqrt: NodeConverter = (ctx) => {
  const { value, channelsFirst } = at(ctx, 0);
  return {
    value: ctx.b.op('Reciprocal', [ctx.b.op('Sqrt', [value], {}, `${ctx.node.name}/sqrt`)], {}, ctx.node.name),
    channelsFirst,
    constant: null,
  };
};

const select: NodeConverter = (ctx) =>
  plainValue(ctx.b.op('Where', [plain(ctx, 0), plain(ctx, 1), plain(ctx, 2)], {}, ctx.node.name));

const cast: NodeConverter = (ctx) => {
  const { value, channelsFirst } = at(ctx, 0);
  return {
    value: ctx.b.op('Cast', [value], { to: onnxType(typeOf(ctx.node.attr?.['DstT']?.type)) }, ctx.node.name),
    channelsFirst,
    constant: null,
  };
};

const clipByValue: NodeConverter = (ctx) => {
  const { value, channelsFirst } = at(ctx, 0);
  const [low, high] = [numberAt(ctx, 1, 'lower bound'), numberAt(ctx, 2, 'upper bound')];
  return {
    value: ctx.b.op('Clip', [value, ctx.b.scalar(low), ctx.b.scalar(high)], {}, ctx.node.name),
    channelsFirst,
    constant: null,
  };
};

const prelu: NodeConverter = (ctx) => {
  const { values, channelsFirst } = aligned(ctx);
  return { value: ctx.b.op('PRelu', values, {}, ctx.node.name), channelsFirst, constant: null };
};

const softmax =
  (opType: 'Softmax' | 'LogSoftmax'): NodeConverter =>
  (ctx) => {
    const { value, channelsFirst } = at(ctx, 0);
    return {
      value: ctx.b.op(opType, [value], { axis: channelsFirst ? 1 : -1 }, ctx.node.name),
      channelsFirst,
      constant: null,
    };
  };

/** Fused operators list what follows the product: bias and activation. */
export function applyFused(
  ctx: NodeContext,
  value: string,
  fused: readonly string[],
  slope: TfValue | undefined,
): string {
  return fused
    .filter((op) => op !== 'BiasAdd')
    .reduce((x, op) => {
      switch (op) {
        case 'Relu':
        case 'Sigmoid':
        case 'Tanh':
        case 'Elu':
          return ctx.b.op(op, [x], {}, `${ctx.node.name}/${op}`);
        case 'Relu6':
          return ctx.b.op('Clip', [x, ctx.b.scalar(0), ctx.b.scalar(6)], {}, `${ctx.node.name}/Relu6`);
        case 'LeakyRelu':
          return ctx.b.op(
            'LeakyRelu',
            [x],
            { alpha: { float: float(ctx, 'leakyrelu_alpha', 0.2) } },
            `${ctx.node.name}/LeakyRelu`,
          );
        case 'Prelu':
          if (slope?.constant)
            return ctx.b.op(
              'PRelu',
              [
                x,
                weightOf(ctx, slope.constant, {
                  layout: 'per channel',
                  dims: [slope.constant.values.length, 1, 1],
                  values: slope.constant.values,
                }),
              ],
              {},
              `${ctx.node.name}/Prelu`,
            );
      }
      throw new UnsupportedNode(`the fused operator "${op}" is unknown`);
    }, value);
}

export const ELEMENTWISE: Readonly<Record<string, NodeConverter>> = {
  Relu: unary('Relu'),
  Elu: unary('Elu'),
  Sigmoid: unary('Sigmoid'),
  Tanh: unary('Tanh'),
  Softplus: unary('Softplus'),
  Softsign: unary('Softsign'),
  Selu: unary('Selu', { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } }),
  LeakyRelu: (ctx) => unary('LeakyRelu', { alpha: { float: float(ctx, 'alpha', 0.2) } })(ctx),
  Relu6: clip(0, 6),
  ClipByValue: clipByValue,
  Prelu: prelu,
  Softmax: softmax('Softmax'),
  LogSoftmax: softmax('LogSoftmax'),
  Exp: unary('Exp'),
  Log: unary('Log'),
  Sqrt: unary('Sqrt'),
  Rsqrt: rsqrt,
  Square: square,
  Neg: unary('Neg'),
  Abs: unary('Abs'),
  Sign: unary('Sign'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Round: unary('Round'),
  Reciprocal: unary('Reciprocal'),
  Erf: unary('Erf'),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Tan: unary('Tan'),
  Asin: unary('Asin'),
  Acos: unary('Acos'),
  Atan: unary('Atan'),
  Sinh: unary('Sinh'),
  Cosh: unary('Cosh'),
  Asinh: unary('Asinh'),
  Acosh: unary('Acosh'),
  Atanh: unary('Atanh'),
  IsNan: unary('IsNaN'),
  LogicalNot: unary('Not'),
  Identity: (ctx) => at(ctx, 0),
  StopGradient: (ctx) => at(ctx, 0),
  PreventGradient: (ctx) => at(ctx, 0),
  Snapshot: (ctx) => at(ctx, 0),
  Add: binary('Add'),
  AddV2: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  RealDiv: binary('Div'),
  Div: binary('Div'),
  DivNoNan: divNoNan,
  FloorDiv: floorDiv,
  Atan2: atan2,
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Pow: binary('Pow'),
  SquaredDifference: squaredDifference,
  BiasAdd: binary('Add'),
  FloorMod: binary('Mod'),
  Greater: binary('Greater'),
  GreaterEqual: binary('GreaterOrEqual'),
  Less: binary('Less'),
  LessEqual: binary('LessOrEqual'),
  Equal: binary('Equal'),
  NotEqual: negated('Equal'),
  LogicalAnd: binary('And'),
  LogicalOr: binary('Or'),
  Select: select,
  SelectV2: select,
  Cast: cast,
  AddN: (ctx) =>
    plainValue(
      ctx.b.op(
        'Sum',
        ctx.inputs.map((_, i) => plain(ctx, i)),
        {},
        ctx.node.name,
      ),
    ),
};
