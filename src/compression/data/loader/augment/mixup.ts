/** Which samples mixup mixes, and how much of each (Zhang et al. 2018, arXiv 1710.09412). */
import { permutation, seededNormal, seededRandom } from '../../random.ts';

/** The random streams of mixup, apart from those of the samples' other changes. */
const PARTNER = 0x6d6978;
const SHARE = 0x6d6979;

/** For every place in a batch of `size`, the place of the sample that it is mixed with. */
export function mixupPartners(seed: number, epoch: number, batch: number, size: number): Int32Array {
  return permutation(size, seededRandom(seed, epoch, batch, PARTNER));
}

/** The share of the sample itself: Beta(alpha, alpha). */
export function mixupShare(seed: number, epoch: number, sample: number, alpha: number): number {
  const uniform = seededRandom(seed, epoch, sample, SHARE);
  const normal = seededNormal(seed, epoch, sample, SHARE, 1);
  const a = gammaLogarithm(alpha, uniform, normal);
  const b = gammaLogarithm(alpha, uniform, normal);
  return 1 / (1 + Math.exp(b - a));
}

/**
 * Logarithm of a Gamma(shape, 1) number (Marsaglia and Tsang 2000). For shapes below 1 the number itself would
 * underflow: ln Gamma(a) = ln Gamma(a + 1) + ln(U) / a.
 */
function gammaLogarithm(shape: number, uniform: () => number, normal: () => number): number {
  if (shape < 1) return gammaLogarithm(shape + 1, uniform, normal) + Math.log(1 - uniform()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}
