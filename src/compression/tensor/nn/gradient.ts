/** tf.customGrad with plain types: how a primitive gets a gradient of its own. */
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export interface WithGradient {
  readonly value: TfTensor;
  /** What the gradient needs; kept until it is done. */
  readonly saved: readonly TfTensor[];
  /** One gradient per input. */
  gradient(dy: TfTensor, saved: TfTensor[]): TfTensor[];
}

export function withGradient(inputs: readonly TfTensor[], compute: (...inputs: TfTensor[]) => WithGradient): TfTensor {
  const op = tf.customGrad((...args) => {
    const save = args.pop() as (tensors: readonly TfTensor[]) => void;
    const { value, saved, gradient } = compute(...(args as TfTensor[]));
    save(saved);
    return { value, gradFunc: (dy: TfTensor, kept: TfTensor[]) => gradient(dy, kept) };
  });
  return op(...inputs);
}
