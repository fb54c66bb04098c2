/**
 * TensorFlow functions that Keras 2 files hold as `TFOpLambda` and `SlicingOpLambda` layers: the usual ones, as
 * functions of keras.ops.
 */
import type { Argument } from '../argument.ts';
import { KERAS_OPERATIONS } from '../operations.ts';
import type { Operation } from './operation.ts';

/** The function of keras.ops, and its names for TensorFlow's arguments. */
interface Same {
  readonly as: string;
  readonly names?: Readonly<Record<string, string>>;
  readonly defaults?: Readonly<Record<string, Argument>>;
}

const two = (as: string): Same => ({ as, names: { x: 'x1', y: 'x2', a: 'x1', b: 'x2' } });
const one = (as: string): Same => ({
  as,
  names: {
    features: 'x',
    input: 'x',
    tensor: 'x',
    a: 'x',
    value: 'x',
    logits: 'x',
    input_tensor: 'x',
    image: 'x',
    images: 'x',
    perm: 'axes',
    shape: 'newshape',
    multiples: 'repeats',
    clip_value_min: 'x_min',
    clip_value_max: 'x_max',
    alpha: 'negative_slope',
    depth: 'num_classes',
    params: 'x',
  },
});

const SAME: Readonly<Record<string, Same>> = {
  '__operators__.add': two('Add'),
  'math.add': two('Add'),
  'math.subtract': two('Subtract'),
  '__operators__.subtract': two('Subtract'),
  'math.multiply': two('Multiply'),
  '__operators__.multiply': two('Multiply'),
  'math.truediv': two('TrueDivide'),
  'math.divide': two('TrueDivide'),
  '__operators__.truediv': two('TrueDivide'),
  'math.floordiv': two('FloorDivide'),
  'math.floormod': two('Mod'),
  'math.pow': two('Power'),
  'math.maximum': two('Maximum'),
  'math.minimum': two('Minimum'),
  'linalg.matmul': two('Matmul'),
  'math.equal': two('Equal'),
  'math.not_equal': two('NotEqual'),
  'math.greater': two('Greater'),
  'math.greater_equal': two('GreaterEqual'),
  'math.less': two('Less'),
  'math.less_equal': two('LessEqual'),
  'math.logical_and': two('LogicalAnd'),
  'math.logical_or': two('LogicalOr'),
  'math.logical_not': one('LogicalNot'),
  where: { as: 'Where', names: { x: 'x1', y: 'x2' } },
  'math.negative': one('Negative'),
  'math.abs': one('Absolute'),
  'math.square': one('Square'),
  'math.sqrt': one('Sqrt'),
  'math.rsqrt': one('Rsqrt'),
  'math.exp': one('Exp'),
  'math.log': one('Log'),
  'math.log1p': one('Log1p'),
  'math.sign': one('Sign'),
  'math.floor': one('Floor'),
  'math.ceil': one('Ceil'),
  'math.round': one('Round'),
  'math.sin': one('Sin'),
  'math.cos': one('Cos'),
  'math.tanh': one('Tanh'),
  'math.erf': one('Erf'),
  'math.reciprocal': one('Reciprocal'),
  'math.sigmoid': one('Sigmoid'),
  'math.softplus': one('Softplus'),
  'nn.sigmoid': one('Sigmoid'),
  'nn.tanh': one('Tanh'),
  'nn.relu': one('Relu'),
  'nn.relu6': one('Relu6'),
  'nn.elu': one('Elu'),
  'nn.selu': one('Selu'),
  'nn.silu': one('Silu'),
  'nn.swish': one('Silu'),
  'nn.softplus': one('Softplus'),
  'nn.softsign': one('Softsign'),
  'nn.leaky_relu': one('LeakyRelu'),
  'nn.gelu': { ...one('Gelu'), defaults: { approximate: false } },
  'nn.softmax': one('Softmax'),
  'nn.log_softmax': one('LogSoftmax'),
  'math.reduce_mean': one('Mean'),
  'math.reduce_sum': one('Sum'),
  'math.reduce_max': one('Max'),
  'math.reduce_min': one('Min'),
  'math.reduce_prod': one('Prod'),
  'math.reduce_std': one('Std'),
  'math.reduce_variance': one('Var'),
  'math.reduce_logsumexp': one('Logsumexp'),
  reshape: one('Reshape'),
  transpose: one('Transpose'),
  'compat.v1.transpose': one('Transpose'),
  expand_dims: one('ExpandDims'),
  squeeze: one('Squeeze'),
  cast: one('Cast'),
  tile: one('Tile'),
  clip_by_value: one('Clip'),
  identity: one('Identity'),
  stop_gradient: one('Identity'),
  zeros_like: one('ZerosLike'),
  ones_like: one('OnesLike'),
  concat: { as: 'Concatenate', names: { values: 'xs' } },
  stack: { as: 'Stack', names: { values: 'xs' } },
  '__operators__.getitem': { as: 'GetItem', names: { slice_spec: 'key' } },
  'compat.v1.gather': one('Take'),
  'image.resize': { ...one('Resize'), names: { images: 'x', method: 'interpolation' } },
};

/** Arguments without effect when null or false; every other argument must be known. */
function renamed({ names = {}, defaults = {} }: Same, kwargs: ReadonlyMap<string, Argument>): Map<string, Argument> {
  const given = [...kwargs]
    .filter(([, value]) => value !== null)
    .map(([key, value]) => [names[key] ?? key, value] as const);
  return new Map([...Object.entries(defaults), ...given]);
}

export const TF_FUNCTIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries(SAME).map(([name, same]) => [
    name,
    (ctx) => {
      for (const key of ['transpose_a', 'transpose_b', 'adjoint_a', 'adjoint_b'])
        if (ctx.kwargs.get(key) === true) throw new Error(`"${name}" with ${key}`);
      return KERAS_OPERATIONS.get(same.as)!({ ...ctx, kwargs: renamed(same, ctx.kwargs) });
    },
  ]),
);
