/**
 * Batch normalization over a batch of which every replica holds a share: statistics, and the sums that the gradient
 * takes over the batch, are those of all shares. On the engine's own kernels, which normalize a share by its own
 * statistics; what the others change of that is a line per channel.
 */
import { nth } from '../../ir/checked-access.ts';
import { rawOps } from '../native/raw-op.ts';
import type { SharedGroup } from '../shared-group.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { withGradient, saving } from './gradient.ts';
import { nothing, release, type AfterBatchNorm, type BatchNormResult } from './normalize.ts';

/** The replicas that share a batch. */
export interface SharedBatch {
  readonly group: Pick<SharedGroup, 'rank' | 'size' | 'sum'>;
  /** Scalar: 1; 0 where this replica's share is empty and the sample that it computes with does not count. */
  readonly counts: TfTensor;
}

interface Statistics {
  /** [c] each. */
  readonly mean: TfTensor;
  /** Biased (divided by the number of values). */
  readonly variance: TfTensor;
  /** Values per channel of the whole batch, a scalar. */
  readonly rows: TfTensor;
}

const IDENTITY = { low: -Infinity, high: Infinity, passesAtLow: true };

/** As `batchNormTraining`, of the whole batch. The shortcut has x's form. */
export function sharedBatchNorm(
  x: TfTensor,
  scale: TfTensor,
  bias: TfTensor,
  epsilon: number,
  { shortcut, clipping = IDENTITY }: AfterBatchNorm,
  batch: SharedBatch,
): BatchNormResult {
  const attributes = {
    epsilon: { float: epsilon },
    low: { float: clipping.low },
    high: { float: clipping.high },
    passes_at_low: { float: clipping.passesAtLow ? 1 : 0 },
  };
  const kept: TfTensor[] = [];
  const y = withGradient([x, scale, bias, shortcut], (a, s, b, other) => {
    const [, mean, variance, rstd] = rawOps('LatheBatchNorm', [a, s, b, nothing()], attributes, 4);
    const own = { mean, variance, rows: tf.scalar(rowsOf(a)) };
    const all = mergeStatistics(own, batch);
    const sharedRstd = tf.rsqrt(tf.add(all.variance, epsilon));
    // (x - own mean) * own rstd * s' + b' = (x - mean) * rstd * scale + bias
    const factor = tf.mul(s, sharedRstd);
    const ownScale = tf.div(factor, rstd);
    const ownBias = tf.add(b, tf.mul(tf.sub(mean, all.mean), factor));
    const [value] = rawOps('LatheBatchNorm', [a, ownScale, ownBias, other ?? nothing()], attributes, 4);
    kept.push(tf.keep(tf.clone(all.mean)), tf.keep(tf.clone(all.variance)));
    return saving({
      value,
      saved: [a, other ? value : nothing(), s, b, all.mean, sharedRstd, all.rows],
      gradient: (dy, [input, output, sc, bi, m, r, rows]) => {
        const [dx, dScale, dBias, passed] = rawOps(
          'LatheBatchNormGrad',
          [input, dy, output, sc, bi, m, r],
          attributes,
          4,
        );
        const correction = inputCorrection({ x: input, mean: m, rstd: r, scale: sc, dScale, dBias, rows }, batch);
        return [tf.add(dx, correction), dScale, dBias, passed].slice(0, other ? 4 : 3);
      },
    });
  });
  const [mean, variance] = kept.map(release);
  return { y, mean: mean!, variance: variance! };
}

const rowsOf = (x: TfTensor): number => x.size / nth(x.shape, -1);

/** Chan et al. 1979, equation 2.1: no difference of large squares. One exchange, in which each rank fills a row. */
function mergeStatistics({ mean, variance, rows }: Statistics, { group, counts }: SharedBatch): Statistics {
  const channels = mean.size;
  const row = tf.reshape(tf.concat([tf.reshape(tf.mul(rows, counts), [1]), mean, variance]), [1, -1]);
  const padded = tf.pad(row, [
    [group.rank, group.size - group.rank - 1],
    [0, 0],
  ]);
  const all = nth(group.sum([padded]), 0);
  const [counted, means, variances] = tf.split(all, [1, channels, channels], 1) as [TfTensor, TfTensor, TfTensor];
  const total = tf.sum(counted);
  const shares = tf.div(counted, total);
  const merged = tf.sum(tf.mul(shares, means), 0);
  const spread = tf.add(variances, tf.square(tf.sub(means, merged)));
  return { mean: merged, variance: tf.sum(tf.mul(shares, spread), 0), rows: total };
}

interface OwnGradients {
  readonly x: TfTensor;
  /** [c] each; the sums of the gradients are over this share. */
  readonly mean: TfTensor;
  readonly rstd: TfTensor;
  readonly scale: TfTensor;
  readonly dScale: TfTensor;
  readonly dBias: TfTensor;
  readonly rows: TfTensor;
}

/**
 * The kernel subtracts the means over this share of dy, and of dy xHat (times xHat), where those over the batch belong:
 * this is the difference. What does not count has no gradient.
 */
function inputCorrection(
  { x, mean, rstd, scale, dScale, dBias, rows }: OwnGradients,
  { group, counts }: SharedBatch,
): TfTensor {
  const own = tf.stack([dBias, dScale]);
  const difference = tf.sub(tf.div(own, rowsOf(x)), tf.div(nth(group.sum([own]), 0), rows));
  const factor = tf.mul(tf.mul(scale, rstd), counts);
  const [level, slope] = tf.unstack(tf.mul(difference, factor)) as [TfTensor, TfTensor];
  return tf.add(tf.mul(tf.sub(x, mean), tf.mul(slope, rstd)), level);
}
