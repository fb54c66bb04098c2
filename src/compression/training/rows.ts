/**
 * Batches shorter than the one that a model fixes in its file: the run gets samples repeated to fill it, and only those
 * that came count. Exact for losses, metrics and their gradients; statistics of a batch (BatchNormalization) weigh the
 * repeated samples more.
 */
import type { Network } from '../network/network.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';

/** Samples of a run: the first `counted` of `run` are those that came. */
export interface Rows {
  readonly counted: number;
  readonly run: number;
}

/** The batch size that the file fixes; null: open. */
export function fixedBatchOf({ inputs }: Pick<Network, 'inputs'>): number | null {
  const sizes = inputs.map(({ type }) => type.shape?.[0]);
  return sizes.find((size): size is number => typeof size === 'number' && size > 0) ?? null;
}

/** [counted, ...] -> [run, ...], the samples in turn. */
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

/**
 * The rows of a result that belong to the samples that came; of results without a row for each sample, or several, all.
 */
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
