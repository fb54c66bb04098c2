/** Random changes of one sample of a series or table, in the model's own units. */
import type { ValueAugmentation } from './defaults.ts';

/**
 * Changes `sample` in place.
 * @param channels size of its last axis
 * @param normalOf the stream of standard normal numbers of an augmentation
 */
export function changeValues(
  sample: Float32Array,
  channels: number,
  augmentations: readonly ValueAugmentation[],
  normalOf: (stream: number) => () => number,
): void {
  for (const { kind, sigma, stream } of augmentations) {
    const normal = normalOf(stream);
    if (kind === 'noise') for (let i = 0; i < sample.length; i++) sample[i]! += sigma * normal();
    else {
      const factors = Float64Array.from({ length: channels }, () => 1 + sigma * normal());
      for (let i = 0; i < sample.length; i++) sample[i]! *= factors[i % channels]!;
    }
  }
}
