import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export function relu(x: TfTensor): TfTensor {
  return tf.relu(x);
}
