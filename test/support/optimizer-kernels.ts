/** The tests of the optimizer updates, run once per engine: against the formulas in double precision. */
import { beforeAll, expect, test } from 'vitest';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { adamUpdate, momentumUpdate } from '../../src/compression/tensor/optimizer-kernels.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';
import { filled, maxDifference } from './numeric-checks.ts';

/** Odd, so that vectors of any width leave a rest. */
const SHAPE = [7, 149];
const TOLERANCE = 1e-6;

export function describeOptimizerKernels(engine: 'tensorflow' | 'wasm'): void {
  beforeAll(async () => {
    await startEngine(engine);
  });

  test.each([
    [0, false],
    [0.9, false],
    [0.9, true],
  ])('momentum %d, nesterov %s', (momentum, nesterov) =>
    tf.tidy(() => {
      const [weight, velocity, gradient] = [filled(SHAPE, 1), filled(SHAPE, 2), filled(SHAPE, 3)];
      const next = momentumUpdate(
        { weight, velocity, gradient, rate: tf.scalar(0.3) },
        { momentum, nesterov, decay: 0.01 },
      );
      const [w, v, g] = arrays(weight, velocity, gradient);
      const gs = g!.map((value, i) => value + 0.01 * w![i]!);
      const vs = gs.map((value, i) => momentum * v![i]! + value);
      expect(maxDifference(next.velocity, vs)).toBeLessThan(TOLERANCE);
      expect(
        maxDifference(
          next.weight,
          w!.map((value, i) => value - 0.3 * (nesterov ? gs[i]! + momentum * vs[i]! : vs[i]!)),
        ),
      ).toBeLessThan(TOLERANCE);
      expect(next.weight.shape).toEqual(SHAPE);
    }),
  );

  test.each([
    [0.01, 1],
    [0, 0.99],
  ])('adam with decay %d, keep %d', (decay, keep) =>
    tf.tidy(() => {
      const [weight, mean, gradient] = [filled(SHAPE, 1), filled(SHAPE, 2), filled(SHAPE, 3)];
      const square = tf.square(filled(SHAPE, 4));
      const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, decay };
      const next = adamUpdate(
        { weight, mean, square, gradient, rate: tf.scalar(0.02), root: tf.scalar(1.5), keep: tf.scalar(keep) },
        settings,
      );
      const [w, m, s, g] = arrays(weight, mean, square, gradient);
      const gs = g!.map((value, i) => value + decay * w![i]!);
      const means = gs.map((value, i) => 0.9 * m![i]! + 0.1 * value);
      const squares = gs.map((value, i) => 0.99 * s![i]! + 0.01 * value * value);
      expect(maxDifference(next.mean, means)).toBeLessThan(TOLERANCE);
      expect(maxDifference(next.square, squares)).toBeLessThan(TOLERANCE);
      expect(
        maxDifference(
          next.weight,
          w!.map((value, i) => keep * value - (0.02 * means[i]!) / (Math.sqrt(squares[i]!) * 1.5 + 1e-3)),
        ),
      ).toBeLessThan(TOLERANCE);
    }),
  );
}

function arrays(...tensors: TfTensor[]): number[][] {
  return tensors.map((tensor) => Array.from(tensor.dataSync()));
}
