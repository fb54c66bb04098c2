/**
 * Batches shorter than the fixed batch size of a model: the run repeats samples to fill the batch, and only the given
 * ones count. Exact for losses, metrics and their gradients; statistics of a batch (BatchNormalization) weigh the
 * repeated samples more.
 */
import type { Network } from '../network/network.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';

/** Samples of a run: only the first `counted` of `run` count. */
export interface Rows {
  readonly counted: number;
  readonly run: number;
}

/** The batch size that the file fixes; null if it is open. */
export function fixedBatchOf({ inputs }: Pick<Network, 'inputs'>): number | null {
  const sizes = inputs.map(({ type }) => type.shape?.[0]);
  return sizes.find((size): size is number => typeof size === 'number' && size > 0) ?? null;
}

/** [counted, ...] -> [run, ...], repeating the samples in order. */
export function padRows(samples: TfTensor, { counted, run }: Rows): TfTensor {
  if (counted >= run || samples.shape[0] !== counted) return samples;
  return tf.gather(
    samples,
    tf.tensor1d(
      Int32Array.from({ length: run }, (_, i) => i % counted),
      'int32',
    ),
  );
}

/** The rows of a result for the samples that count; all rows if there is not one for each sample. */
export function validRows(result: TfTensor, { counted, run }: Rows): TfTensor {
  const rows = result.shape[0] ?? 0;
  if (counted >= run || rows === 0 || rows % run !== 0) return result;
  const kept = (rows / run) * counted;
  return tf.slice(
    result,
    result.shape.map(() => 0),
    [kept, ...result.shape.slice(1)],
  );
}
