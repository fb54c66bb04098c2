/** Single numbers picked out of a vector. */
import { nth } from '../../ir/checked-access.ts';
import { engine } from '../engine.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { saving, withGradient } from './gradient.ts';

/**
 * x [n], offsets int32 [m] within it (not checked on every engine) -> [m]; the gradient is the sum by offset.
 *
 * Of 235,200 offsets into 32 numbers, one thread: GatherNd takes 1.2 ms, TensorFlow's Gather 9, WebAssembly's 11; the
 * sum takes UnsortedSegmentSum 1.2 ms, ScatterNd 6 in TensorFlow and 0.7 in WebAssembly. (Bincount with weights, 0.8,
 * adds up in another order from run to run.)
 */
export function pickNumbers(x: TfTensor, offsets: TfTensor): TfTensor {
  const [n, m] = [nth(x.shape, 0), nth(offsets.shape, 0)];
  return withGradient([x], (v) =>
    saving({
      value: tf.gatherND(v, tf.reshape(offsets, [m, 1])),
      saved: [offsets],
      gradient: (dy, [at]) => [
        engine().native ? tf.unsortedSegmentSum(dy, at as never, n) : tf.scatterND(tf.reshape(at, [m, 1]), dy, [n]),
      ],
    }),
  );
}
