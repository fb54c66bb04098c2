/**
 * ai.onnx.ml: what converters of scikit-learn write before and after a network. Scaler and Normalizer prepare its
 * inputs, ArrayFeatureExtractor picks the name of its class. Trees, support vectors and linear models have their
 * weights in attributes, and are not trained.
 */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { exactIntegers, firstInput, FULL, ONNX_ORDER, type HostForm, needs } from './define.ts';
import { gatherAxis } from './device/rows.ts';
import { resolvedIndices, positive } from './gather.ts';
import { countTo, offsetsAlong, pick } from './host/movement.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { productOf, shapeOf, typeOf } from './shapes.ts';

/** (x - offset) * scale, of one value each or one for each entry of the last axis. */
function scaler(ctx: RunContext): TfTensor[] {
  const x = tf.cast(ctx.tensor(0), 'float32');
  const vector = (name: string, fallback: number): TfTensor => tf.tensor1d([...(ctx.floats(name) ?? [fallback])]);
  return [tf.mul(tf.sub(x, vector('offset', 0)), vector('scale', 1))];
}

const NORMS: Readonly<Record<string, (x: TfTensor) => TfTensor>> = {
  MAX: (x) => tf.max(x, -1, true),
  L1: (x) => tf.sum(tf.abs(x), -1, true),
  L2: (x) => tf.sqrt(tf.sum(tf.square(x), -1, true)),
};

/** Divides each row by its norm; a row of norm 0 stays as it is. */
function normalizer(ctx: RunContext): TfTensor[] {
  const name = ctx.string('norm', 'MAX');
  const norm = NORMS[name];
  if (!norm) throw new GraphError(`norm "${name}" is not known`);
  const x = tf.cast(ctx.tensor(0), 'float32');
  const size = norm(x);
  const isZero = withoutTape(() => tf.equal(size, 0));
  return [tf.div(x, tf.where(isZero, tf.onesLike(size), size))];
}

const floats = (info: NodeInfo): Inferred[] => [{ dtype: 'float32', shape: shapeOf(info) }];

/** Entries of the last axis by their indices; a vector is one row. */
function extractedType(info: NodeInfo): Inferred[] {
  const [x, indices] = [shapeOf(info, 0), shapeOf(info, 1)];
  const rows = x && (x.length === 1 ? [1] : x.slice(0, -1));
  return [{ dtype: typeOf(info).dtype, shape: rows && [...rows, indices ? productOf(indices) : null] }];
}

const extractHost: HostForm = needs(2, ([x, indices]) => {
  const dims = x.dims.length === 1 ? [1, nth(x.dims, 0)] : x.dims;
  const chosen = resolvedIndices(indices, nth(dims, -1));
  const rows = dims.slice(0, -1);
  return [pick({ ...x, dims }, offsetsAlong(dims, [...rows.map(countTo), chosen]), [...rows, chosen.length])];
});

function extract(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const rows = x.rank === 1 ? tf.reshape(x, [1, x.size]) : x;
  const indices = ctx.tensor(1);
  return [gatherAxis(rows, positive(tf.reshape(indices, [indices.size]), nth(rows.shape, -1)), rows.rank - 1)];
}

const common = { domain: 'ai.onnx.ml', since: 1, layout: ONNX_ORDER } as const;

export const classicalOperators: readonly Operator[] = [
  { ...common, type: 'Scaler', differentiability: FULL, infer: floats, device: scaler },
  { ...common, type: 'Normalizer', differentiability: FULL, infer: floats, device: normalizer },
  {
    ...common,
    type: 'ArrayFeatureExtractor',
    differentiability: firstInput(0),
    infer: extractedType,
    host: extractHost,
    device: exactIntegers(extractHost, extract),
  },
];
