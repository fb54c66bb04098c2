/** tf.customGrad with plain types: how a primitive gets a gradient of its own. */
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';

export interface WithGradient<Saved extends readonly TfTensor[] = readonly TfTensor[]> {
  readonly value: TfTensor;
  /** What the gradient needs; kept until it is done. */
  readonly saved: Saved;
  /** One gradient per input. */
  gradient(dy: TfTensor, saved: Saved): TfTensor[];
}

/** Lets `gradient` take what is saved one by one: tensor for tensor, as many as `saved` lists. */
export function saving<const Saved extends readonly TfTensor[]>(made: WithGradient<Saved>): WithGradient {
  return made;
}

/** A value with a gradient of its own. Inputs that may be absent come last. */
export function withGradient<const Inputs extends readonly (TfTensor | undefined)[]>(
  inputs: Inputs,
  compute: (...inputs: Inputs) => WithGradient,
): TfTensor {
  const op = tf.customGrad((...args) => {
    const save = args.pop() as (tensors: readonly TfTensor[]) => void;
    const { value, saved, gradient } = compute(...(args as unknown as Inputs));
    save(saved);
    return { value, gradFunc: (dy: TfTensor, kept: TfTensor[]) => gradient(dy, kept) };
  });
  return op(...inputs.filter((input) => input !== undefined));
}
