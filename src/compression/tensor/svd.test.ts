/** TensorFlow's decomposition and the library's agree with the definition. */
import { describe, expect, test } from 'vitest';
import { startEngine } from './engine.ts';
import { svd } from './svd.ts';
import { tf } from './tf.ts';

describe.each(['tensorflow', 'wasm'] as const)('on %s', (name) => {
  test.each([
    [5, 5],
    [7, 4],
    [4, 9],
    [1, 6],
    [6, 1],
  ])('%i x %i', async (rows, columns) => {
    await startEngine(name, { threads: 1 });
    tf.tidy(() => {
      const matrix = tf.randomNormal([rows, columns], 0, 1, 'float32', 3);
      const { left, values, right } = svd(matrix);
      const k = Math.min(rows, columns);
      expect([left.shape, values.shape, right.shape]).toEqual([[rows, k], [k], [columns, k]]);
      const back = tf.matMul(tf.mul(left, values), right, false, true);
      expect(tf.max(tf.abs(tf.sub(back, matrix))).dataSync()[0]!).toBeLessThan(2e-6);
      for (const basis of [left, right])
        expect(tf.max(tf.abs(tf.sub(tf.matMul(basis, basis, true, false), tf.eye(k)))).dataSync()[0]!).toBeLessThan(
          2e-6,
        );
      const all = [...values.dataSync()];
      expect(all).toEqual([...all].sort((a, b) => b - a));
    });
  });
});
