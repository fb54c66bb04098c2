/** The loss against labels or values of the dataset, and the metrics that go with it. */
import type { Training } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import type { Head } from './head.ts';
import {
  absoluteError,
  binaryCrossEntropy,
  crossEntropy,
  klDivergence,
  logitsOfBernoulli,
  logitsOfProbabilities,
  squaredError,
} from './losses.ts';
import type { LossTerm, Metric, TermView } from './term.ts';

export type LossName = Exclude<NonNullable<Training['loss']>, 'auto'>;
export type TargetKind = 'classes' | 'values';

/**
 * Classes: cross-entropy; values: binary cross-entropy behind a sigmoid, cross-entropy behind a softmax, else the
 * squared error.
 */
export function chooseLoss(asked: Training['loss'], head: Head, target: TargetKind): LossName {
  if (asked !== undefined && asked !== 'auto') return asked;
  if (head.activation === 'sigmoid') return 'binary-cross-entropy';
  if (target === 'classes') return 'cross-entropy';
  return head.activation === 'softmax' || head.activation === 'log-softmax' ? 'cross-entropy' : 'mse';
}

/** The term that trains `head` on the dataset's target. */
export function supervisedTerm(head: Head, loss: LossName, weight = 1): LossTerm {
  return { name: 'labels', weight, fetch: [head.scores], loss: (view) => tf.mean(LOSSES[loss](head, view)) };
}

/** Mean loss per sample of each kind: [n]. */
const LOSSES: Record<LossName, (head: Head, view: TermView) => TfTensor> = {
  'cross-entropy': (head, view) => {
    const scores = classScores(head, view);
    if (scores.shape[1] === 1) return binaryCrossEntropy(scores, targetLike(scores, view));
    return crossEntropy(scores, targetLike(scores, view));
  },
  'binary-cross-entropy': (head, view) => {
    const scores = bernoulliScores(head, view);
    return binaryCrossEntropy(scores, targetLike(scores, view));
  },
  kl: (head, view) => {
    const scores = classScores(head, view);
    return klDivergence(scores, targetLike(scores, view));
  },
  mse: (head, view) => {
    const outputs = flat(view.value(head.output));
    return squaredError(outputs, targetLike(outputs, view));
  },
};

/** [n, c] logits of a softmax; c = 1: of a sigmoid. */
export function classScores(head: Head, view: TermView): TfTensor {
  const scores = flat(view.value(head.scores));
  if (head.activation === 'probability') return logitsOfBernoulli(scores);
  return head.activation === 'probabilities' ? logitsOfProbabilities(scores) : scores;
}

/** [n, m] logits of m sigmoids. */
function bernoulliScores(head: Head, view: TermView): TfTensor {
  const scores = flat(view.value(head.scores));
  return head.activation === 'probabilities' || head.activation === 'probability' ? logitsOfBernoulli(scores) : scores;
}

function flat(value: TfTensor): TfTensor {
  return tf.reshape(value, [value.shape[0] ?? 1, -1]);
}

function requireTarget(target: TfTensor | null): asserts target is TfTensor {
  if (!target) throw new LatheError('dataset-required', 'the loss needs labels and the dataset has none');
}

/** The target in the form of `scores` [n, c]: classes as one-hot rows (c = 1: as 0 or 1), values flattened. */
function targetLike(scores: TfTensor, { target }: TermView): TfTensor {
  requireTarget(target);
  const [n, c] = scores.shape as [number, number];
  const isClasses = target.dtype === 'int32' && target.rank === 1;
  if (isClasses && c > 1) return tf.oneHot(target as ReturnType<typeof tf.tensor1d>, c).cast('float32');
  if (target.size !== n * c)
    throw new LatheError('shape-mismatch', `the model gives ${c} value(s) a sample, the dataset ${target.size / n}`);
  return tf.reshape(target.cast('float32'), [n, c]);
}

/**
 * Share of samples whose highest score is the label's; a single score says class 1 where it is above 0 (probability
 * 0.5).
 */
export function top1(head: Head): Metric {
  return {
    name: 'top1',
    better: 'higher',
    fetch: [head.scores],
    evaluate: (view) => {
      requireTarget(view.target);
      const scores = classScores(head, view);
      const predicted =
        scores.shape[1] === 1 ? tf.greater(tf.reshape(scores, [-1]), 0).cast('int32') : tf.argMax(scores, 1);
      return tf.sum(tf.equal(predicted, view.target).cast('float32'));
    },
  };
}

/** Mean absolute error of the output. */
export function meanAbsoluteError(head: Head): Metric {
  return {
    name: 'mae',
    better: 'lower',
    fetch: [],
    evaluate: (view) => {
      const outputs = flat(view.value(head.output));
      return tf.sum(absoluteError(outputs, targetLike(outputs, view)));
    },
  };
}
