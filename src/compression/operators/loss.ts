/** The losses of the standard: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss over scores [n, classes, ...]. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { firstInput, ONNX_ORDER } from './define.ts';
import { countTo } from './host/movement.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { shapeOf, typeOf } from './shapes.ts';

/** The loss of each position of `labels`, then reduced as the attribute says. `logProbabilities` [n, classes, ...]. */
function negativeLogLikelihood(ctx: RunContext, logProbabilities: TfTensor): TfTensor {
  const { rank } = logProbabilities;
  const classes = nth(logProbabilities.shape, 1);
  const labels = tf.cast(ctx.tensor(1), 'int32');
  const ignored = ctx.attribute('ignore_index') === undefined ? null : tf.equal(labels, ctx.int('ignore_index', 0));
  const chosen = tf.cast(
    tf.oneHot(ignored ? tf.where(ignored, tf.zerosLike(labels), labels) : labels, classes),
    'bool',
  ); // [n, ..., classes]
  const classesLast = rank === 2 ? logProbabilities : tf.transpose(logProbabilities, [0, ...countTo(rank).slice(2), 1]);
  const loss = tf.neg(tf.sum(tf.where(chosen, classesLast, tf.zerosLike(classesLast)), -1));
  const weights = positionWeights(ctx, chosen, ignored);
  return reduced(ctx.string('reduction', 'mean'), loss, weights);
}

/** The weight of each label's class; 0 where the label is ignored; null: 1 everywhere. */
function positionWeights(ctx: RunContext, chosen: TfTensor, ignored: TfTensor | null): TfTensor | null {
  const kept = ignored && tf.cast(tf.logicalNot(ignored), 'float32');
  if (!ctx.has(2)) return kept;
  const weights = tf.sum(tf.mul(tf.cast(chosen, 'float32'), ctx.tensor(2)), -1);
  return kept ? tf.mul(weights, kept) : weights;
}

function reduced(reduction: string, loss: TfTensor, weights: TfTensor | null): TfTensor {
  const weighted = weights ? tf.mul(loss, weights) : loss;
  switch (reduction) {
    case 'none':
      return weighted;
    case 'sum':
      return tf.sum(weighted);
    case 'mean':
      return weights ? tf.div(tf.sum(weighted), tf.sum(weights)) : tf.mean(weighted);
    default:
      throw new GraphError(`reduction "${reduction}" is none of none, sum, mean`);
  }
}

/** log softmax over axis 1. */
function logSoftmax(scores: TfTensor): TfTensor {
  const shifted = tf.sub(
    scores,
    withoutTape(() => tf.max(scores, 1, true)),
  );
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
}

function lossType(info: NodeInfo): Inferred {
  const { dtype } = typeOf(info);
  return { dtype, shape: info.string('reduction', 'mean') === 'none' ? shapeOf(info, 1) : [] };
}

const common = { domain: '', layout: ONNX_ORDER, differentiability: firstInput(0, 2) } as const;

export const lossOperators: readonly Operator[] = [
  {
    ...common,
    type: 'NegativeLogLikelihoodLoss',
    since: 12,
    infer: (info) => [lossType(info)],
    device: (ctx) => [negativeLogLikelihood(ctx, ctx.tensor(0))],
  },
  {
    ...common,
    type: 'SoftmaxCrossEntropyLoss',
    since: 12,
    infer: (info) => [lossType(info), typeOf(info)],
    device: (ctx) => {
      const logProbabilities = logSoftmax(ctx.tensor(0));
      return [negativeLogLikelihood(ctx, logProbabilities), logProbabilities];
    },
  },
];
