import { engine } from '../engine.ts';
import { rawOps } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { saving, withGradient } from './gradient.ts';

/**
 * Cross-entropy of softmax(logits) [n, classes] against labels [n, classes] (one-hot or probabilities): [n].
 * TensorFlow's kernel yields the loss and its gradient softmax(logits) - labels together; labels must sum to 1 in each
 * row.
 */
export function softmaxCrossEntropy(logits: TfTensor, labels: TfTensor): TfTensor {
  return withGradient([logits, labels], (z, p) => {
    const [value, slope] = engine().native
      ? rawOps('SoftmaxCrossEntropyWithLogits', [z, p], { T: { type: 'float32' } }, 2)
      : portable(z, p);
    return saving({
      value: value,
      saved: [slope, z],
      gradient: (dy, [s, savedZ]) => {
        const column = tf.expandDims(dy, -1);
        return [tf.mul(column, s), tf.neg(tf.mul(column, tf.logSoftmax(savedZ)))];
      },
    });
  });
}

function portable(logits: TfTensor, labels: TfTensor): [TfTensor, TfTensor] {
  const logProbabilities = tf.logSoftmax(logits);
  return [tf.neg(tf.sum(tf.mul(labels, logProbabilities), -1)), tf.sub(tf.exp(logProbabilities), labels)];
}
