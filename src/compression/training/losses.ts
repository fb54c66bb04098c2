/** Losses per sample, on scores before their activation. Every function gives [n]. */
import * as nn from '../tensor/nn.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';

/** Lower bound of probabilities in logarithms, which keeps the gradients finite in float32. */
const MIN_PROBABILITY = 1e-7;

/** Cross-entropy of softmax(logits) against `targets` (one-hot or probabilities). Both [n, c]. */
export function crossEntropy(logits: TfTensor, targets: TfTensor): TfTensor {
  return nn.softmaxCrossEntropy(logits, targets);
}

/**
 * Binary cross-entropy of sigmoid(logits), mean over all but the first axis: max(z, 0) - z * y + log(1 + exp(-|z|)),
 * written with softplus(z) - z * y, which tfjs computes without overflow.
 */
export function binaryCrossEntropy(logits: TfTensor, targets: TfTensor): TfTensor {
  return perSampleMean(tf.sub(tf.softplus(logits), tf.mul(logits, targets)));
}

/** Mean squared error over all but the first axis. */
export function squaredError(outputs: TfTensor, targets: TfTensor): TfTensor {
  return perSampleMean(tf.squaredDifference(outputs, targets));
}

/** Mean absolute error over all but the first axis. */
export function absoluteError(outputs: TfTensor, targets: TfTensor): TfTensor {
  return perSampleMean(tf.abs(tf.sub(outputs, targets)));
}

/** KL(targets || softmax(logits)), the sum over classes. Both [n, c]; zero where they are equal. */
export function klDivergence(logits: TfTensor, targets: TfTensor): TfTensor {
  const entropy = tf.neg(tf.sum(tf.mul(targets, tf.log(tf.maximum(targets, MIN_PROBABILITY))), -1));
  return tf.sub(crossEntropy(logits, targets), entropy);
}

/** KL between Bernoulli distributions, mean over all but the first axis; `targets` are probabilities. */
export function binaryKlDivergence(logits: TfTensor, targets: TfTensor): TfTensor {
  const [p, q] = [clipped(targets), clipped(tf.sub(1, targets))];
  const entropy = perSampleMean(tf.neg(tf.add(tf.mul(p, tf.log(p)), tf.mul(q, tf.log(q)))));
  return tf.sub(binaryCrossEntropy(logits, targets), entropy);
}

/** Probabilities -> logits of a softmax that gives them. */
export function logitsOfProbabilities(probabilities: TfTensor): TfTensor {
  return tf.log(clipped(probabilities));
}

/** Probabilities -> logits of a sigmoid that gives them. */
export function logitsOfBernoulli(probabilities: TfTensor): TfTensor {
  return tf.sub(tf.log(clipped(probabilities)), tf.log(clipped(tf.sub(1, probabilities))));
}

function clipped(probabilities: TfTensor): TfTensor {
  return tf.clipByValue(probabilities, MIN_PROBABILITY, 1);
}

function perSampleMean(values: TfTensor): TfTensor {
  return tf.mean(tf.reshape(values, [values.shape[0] ?? 1, -1]), 1);
}

/** The mean of scalar losses, at least one. */
export function meanLoss(losses: readonly TfTensor[]): TfTensor {
  const [only, ...others] = losses;
  return only && others.length === 0 ? only : tf.div(tf.addN([...losses]), losses.length);
}
