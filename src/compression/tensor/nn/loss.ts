import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

/** Cross-entropy of softmax(logits) [n, classes] against labels [n, classes] (one-hot or probabilities): [n]. */
export function softmaxCrossEntropy(logits: TfTensor, labels: TfTensor): TfTensor {
  return tf.neg(tf.sum(tf.mul(labels, tf.logSoftmax(logits)), -1));
}
