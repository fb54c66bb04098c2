/** Elementwise operators, activations, comparisons and casts in TensorFlow's terms. */
import { DATA_TYPES } from '../../../ir/types.ts';
import type { WriteContext, Writer, Writers } from './context.ts';
import { floatAttribute, tfType, typeAttribute } from './tf-graph.ts';

const direct =
  (op: string): Writer =>
  (ctx) =>
    ctx.op(op, ctx.inputs);
/** Left to right over any number of inputs. */
const chain =
  (op: string): Writer =>
  (ctx) =>
    ctx.inputs.reduce((a, b) => ctx.op(op, [a, b]));

/** clip(alpha x + beta, 0, 1) */
function hardSigmoid(ctx: WriteContext, alpha: number, beta: number): string {
  const { tf } = ctx;
  return clip(
    ctx,
    ctx.op('AddV2', [ctx.op('Mul', [ctx.input(0), tf.float(alpha)]), tf.float(beta)]),
    tf.float(0),
    tf.float(1),
  );
}

function clip(ctx: WriteContext, x: string, low: string | null, high: string | null): string {
  const raised = low === null ? x : ctx.op('Maximum', [x, low]);
  return high === null ? raised : ctx.op('Minimum', [raised, high]);
}

const DIRECT: Readonly<Record<string, string>> = {
  Sub: 'Sub',
  Pow: 'Pow',
  Relu: 'Relu',
  Sigmoid: 'Sigmoid',
  Tanh: 'Tanh',
  Softplus: 'Softplus',
  Erf: 'Erf',
  Exp: 'Exp',
  Log: 'Log',
  Sqrt: 'Sqrt',
  Neg: 'Neg',
  Abs: 'Abs',
  Sign: 'Sign',
  Floor: 'Floor',
  Ceil: 'Ceil',
  Round: 'Round',
  Reciprocal: 'Reciprocal',
  Sin: 'Sin',
  Cos: 'Cos',
  Tan: 'Tan',
  Asin: 'Asin',
  Acos: 'Acos',
  Atan: 'Atan',
  Sinh: 'Sinh',
  Cosh: 'Cosh',
  Asinh: 'Asinh',
  Acosh: 'Acosh',
  Atanh: 'Atanh',
  IsNaN: 'IsNan',
  Equal: 'Equal',
  Greater: 'Greater',
  GreaterOrEqual: 'GreaterEqual',
  Less: 'Less',
  LessOrEqual: 'LessEqual',
  And: 'LogicalAnd',
  Or: 'LogicalOr',
  Not: 'LogicalNot',
  Identity: 'Identity',
  Dropout: 'Identity',
  PRelu: 'Prelu',
};
const CHAINED: Readonly<Record<string, string>> = {
  Add: 'AddV2',
  Mul: 'Mul',
  Sum: 'AddV2',
  Max: 'Maximum',
  Min: 'Minimum',
};
const map = (ops: Readonly<Record<string, string>>, make: (op: string) => Writer): Writers =>
  Object.fromEntries(Object.entries(ops).map(([type, op]) => [type, make(op)]));

export const elementwise: Writers = {
  ...map(DIRECT, direct),
  ...map(CHAINED, chain),
  Dropout: (ctx) => ctx.op('Identity', [ctx.input(0)]),
  // Integers are sizes here, never negative, so that rounding down and truncation are one.
  Div: (ctx) => (ctx.type() === 'int32' ? ctx.op('FloorDiv', ctx.inputs) : ctx.op('RealDiv', ctx.inputs)),
  Mod: (ctx) => ctx.op(ctx.info.int('fmod', 0) ? 'Mod' : 'FloorMod', ctx.inputs),
  Mean: (ctx) =>
    ctx.op('RealDiv', [ctx.inputs.reduce((a, b) => ctx.op('AddV2', [a, b])), ctx.tf.float(ctx.inputs.length)]),
  Xor: (ctx) => ctx.op('NotEqual', ctx.inputs),
  Where: (ctx) => ctx.op('SelectV2', ctx.inputs, {}, ctx.type(1)),
  LeakyRelu: (ctx) => ctx.op('LeakyRelu', ctx.inputs, { alpha: floatAttribute(ctx.info.float('alpha', 0.01)) }),
  Elu: (ctx) => {
    const alpha = ctx.info.float('alpha', 1);
    if (alpha === 1) return ctx.op('Elu', ctx.inputs);
    const negative = ctx.op('Mul', [
      ctx.op('Sub', [ctx.op('Exp', [ctx.op('Minimum', [ctx.input(0), ctx.tf.float(0)])]), ctx.tf.float(1)]),
      ctx.tf.float(alpha),
    ]);
    return ctx.op('AddV2', [ctx.op('Relu', ctx.inputs), negative]);
  },
  Selu: (ctx) => {
    const [alpha, gamma] = [ctx.info.float('alpha', 1.6732631921768188), ctx.info.float('gamma', 1.0507010221481323)];
    const negative = ctx.op('Mul', [
      ctx.op('Sub', [ctx.op('Exp', [ctx.op('Minimum', [ctx.input(0), ctx.tf.float(0)])]), ctx.tf.float(1)]),
      ctx.tf.float(alpha),
    ]);
    return ctx.op('Mul', [ctx.op('AddV2', [ctx.op('Relu', ctx.inputs), negative]), ctx.tf.float(gamma)]);
  },
  Softsign: (ctx) => ctx.op('RealDiv', [ctx.input(0), ctx.op('AddV2', [ctx.op('Abs', ctx.inputs), ctx.tf.float(1)])]),
  HardSigmoid: (ctx) => hardSigmoid(ctx, ctx.info.float('alpha', 0.2), ctx.info.float('beta', 0.5)),
  HardSwish: (ctx) => ctx.op('Mul', [ctx.input(0), hardSigmoid(ctx, 1 / 6, 0.5)]),
  Mish: (ctx) => ctx.op('Mul', [ctx.input(0), ctx.op('Tanh', [ctx.op('Softplus', ctx.inputs)])]),
  // x Phi(x) by the error function; the tanh form where the model asks for it (Hendrycks and Gimpel, 2016).
  Gelu: (ctx) => {
    const { tf } = ctx;
    const x = ctx.input(0);
    const inner =
      ctx.info.string('approximate', 'none') === 'tanh'
        ? ctx.op('Tanh', [
            ctx.op('Mul', [
              ctx.op('AddV2', [x, ctx.op('Mul', [ctx.op('Mul', [x, ctx.op('Mul', [x, x])]), tf.float(0.044715)])]),
              tf.float(Math.sqrt(2 / Math.PI)),
            ]),
          ])
        : ctx.op('Erf', [ctx.op('Mul', [x, tf.float(Math.SQRT1_2)])]);
    return ctx.op('Mul', [ctx.op('Mul', [x, tf.float(0.5)]), ctx.op('AddV2', [inner, tf.float(1)])]);
  },
  Clip: (ctx) => {
    const bound = (index: number, name: string): string | null => {
      if (ctx.has(index)) return ctx.input(index);
      return ctx.info.attribute(name) ? ctx.tf.float(ctx.info.float(name, 0)) : null;
    };
    const [low, high] = [bound(1, 'min'), bound(2, 'max')];
    return low === null && high === null ? ctx.op('Identity', [ctx.input(0)]) : clip(ctx, ctx.input(0), low, high);
  },
  Cast: (ctx) => {
    const to = DATA_TYPES[ctx.info.int('to', 1)];
    if (to === undefined || to === 'string') return ctx.refuse('a cast to text');
    return ctx.tf.op(
      'Cast',
      [ctx.input(0)],
      { SrcT: typeAttribute(ctx.type()), DstT: typeAttribute(tfType(to)) },
      ctx.label,
    );
  },
  // x * scale[c] + shift[c] along axis 1, where it could not be folded into the product before it.
  BatchNormalization: (ctx) => {
    const [scale, bias, mean, variance] = [1, 2, 3, 4].map((index) => ctx.numbers(index, 'statistics')) as [
      number[],
      number[],
      number[],
      number[],
    ];
    const gain = scale.map((value, c) => value / Math.sqrt(variance[c]! + ctx.info.float('epsilon', 1e-5)));
    const dims = [gain.length, ...new Array<number>(Math.max(ctx.rank() - 2, 0)).fill(1)];
    const constant = (values: number[], what: string): string =>
      ctx.tf.constant({ dtype: 'float32', dims, data: Float32Array.from(values) }, `${ctx.label}/${what}`);
    return ctx.op('AddV2', [
      ctx.op('Mul', [ctx.input(0), constant(gain, 'gain')]),
      constant(
        gain.map((value, c) => bias[c]! - mean[c]! * value),
        'shift',
      ),
    ]);
  },
};
