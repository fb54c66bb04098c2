/** The tests of the primitives, run once per engine (a process holds one engine). */
import { beforeAll, describe, expect, test } from 'vitest';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import * as nn from '../../src/compression/tensor/nn.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';
import { directAttention, directConv, directPool, filled, gradientErrors, maxDifference } from './numeric-checks.ts';
import { attentionCases, convCases, HEAD_ORDERS, poolCases, transposeCases } from './primitive-cases.ts';

/** Sums of a few hundred float32 products, against double precision. */
const FORWARD = 2e-5;
/** Rounding of two float32 sums, divided by a step of 0.25. */
const LINEAR = 2e-4;
/** Truncation and rounding at a step of 1e-2. */
const CURVED = 3e-3;

export function describePrimitives(engine: 'tensorflow' | 'wasm'): void {
  beforeAll(async () => {
    await startEngine(engine);
  });

  describe.each(convCases)('conv: $name', ({ x: xShape, w: wShape, options, tolerance = FORWARD }) => {
    test('equals the direct sum', () =>
      tidy(() => {
        const [x, w] = [filled(xShape, 3), filled(wShape, 5)];
        expect(maxDifference(nn.conv(x, w, options), directConv(x, w, options))).toBeLessThan(tolerance);
      }));
    test('gradients', () =>
      tidy(() => {
        const errors = gradientErrors((x, w) => nn.conv(x, w, options), [filled(xShape, 3), filled(wShape, 5)], 0.25);
        expect(Math.max(...errors)).toBeLessThan(LINEAR);
      }));
  });

  describe.each(transposeCases)('convTranspose: $name', ({ x: xShape, w: wShape, options }) => {
    test('is the transpose of conv', () =>
      tidy(() => {
        const [x, w] = [filled(xShape, 3), filled(wShape, 5)];
        const y = nn.convTranspose(x, w, options);
        const image = filled(y.shape, 9);
        const { outputPadding: _, ...window } = options;
        const [left, right] = [tf.sum(tf.mul(y, image)), tf.sum(tf.mul(nn.conv(image, w, window), x))].map(
          (sum) => sum.dataSync()[0]!,
        );
        expect(Math.abs(left! - right!)).toBeLessThan(1e-4 * Math.max(1, Math.abs(left!)));
      }));
    test('gradients', () =>
      tidy(() => {
        const errors = gradientErrors(
          (x, w) => nn.convTranspose(x, w, options),
          [filled(xShape, 3), filled(wShape, 5)],
          0.25,
        );
        expect(Math.max(...errors)).toBeLessThan(LINEAR);
      }));
  });

  describe.each(poolCases)('pooling: $name', ({ x: xShape, options }) => {
    const size = options.kernel.reduce((a, b) => a * b, 1);
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    test('equals the direct maximum and means', () =>
      tidy(() => {
        const x = filled(xShape, 3);
        expect(
          maxDifference(
            nn.maxPool(x, options),
            directPool(x, options.kernel, options, (values) => Math.max(...values)),
          ),
        ).toBe(0);
        expect(
          maxDifference(
            nn.averagePool(x, options),
            directPool(x, options.kernel, options, (values) => sum(values) / values.length),
          ),
        ).toBeLessThan(FORWARD);
        const whole = nn.averagePool(x, { ...options, countIncludePad: true });
        expect(
          maxDifference(
            whole,
            directPool(x, options.kernel, options, (values) => sum(values) / size),
          ),
        ).toBeLessThan(FORWARD);
      }));
    test('gradients', () =>
      tidy(() => {
        const x = filled(xShape, 3);
        expect(Math.max(...gradientErrors((a) => nn.averagePool(a, options), [x], 0.25))).toBeLessThan(LINEAR);
        // The step is far below the gap between any two values: no maximum changes its place.
        expect(Math.max(...gradientErrors((a) => nn.maxPool(a, options), [x], 2 ** -12))).toBeLessThan(CURVED);
      }));
  });

  test.each([[[6, 4, 5, 3]], [[12, 3]], [[4, 6, 3]]])('batch normalization over %j', (shape) =>
    tidy(() => {
      const inputs = [filled(shape, 3), filled([3], 5), filled([3], 8)];
      const { y, mean, variance } = nn.batchNormTraining(inputs[0]!, inputs[1]!, inputs[2]!, 1e-3);
      const moments = tf.moments(
        inputs[0]!,
        shape.slice(0, -1).map((_, i) => i),
      );
      expect(maxDifference(mean, moments.mean.dataSync())).toBeLessThan(1e-6);
      expect(maxDifference(variance, moments.variance.dataSync())).toBeLessThan(1e-6);
      const inference = nn.batchNormInference(inputs[0]!, inputs[1]!, inputs[2]!, mean, variance, 1e-3);
      expect(maxDifference(y, inference.dataSync())).toBeLessThan(1e-5);
      expect(
        Math.max(...gradientErrors((x, s, b) => nn.batchNormTraining(x, s, b, 1e-3).y, inputs, 1e-2)),
      ).toBeLessThan(CURVED);
      const frozen = (x?: TfTensor, s?: TfTensor, b?: TfTensor) =>
        nn.batchNormInference(x!, s!, b!, mean, variance, 1e-3);
      expect(Math.max(...gradientErrors(frozen, inputs, 0.25))).toBeLessThan(LINEAR);
    }),
  );

  test.each<[string, number[], Partial<nn.Clipping> & { shortcut?: boolean }]>([
    ['ReLU', [3, 4, 5, 6], nn.RELU],
    ['ReLU6', [40, 3, 19], { low: 0, high: 0.6, passesAtLow: true }],
    ['a shortcut and ReLU', [2, 5, 4, 33], { ...nn.RELU, shortcut: true }],
    ['a shortcut, broadcast', [6, 4, 4, 3], { shortcut: true }],
    ['a shortcut alone', [30, 7], { shortcut: true }],
  ])('batch normalization, then %s', (name, shape, { shortcut = false, ...clipping }) =>
    tidy(() => {
      const channels = shape.at(-1)!;
      const others = shortcut
        ? [filled(name.includes('broadcast') ? [1, ...shape.slice(1, -1).map(() => 1), channels] : shape, 11)]
        : [];
      const inputs = [filled(shape, 3), filled([channels], 5), filled([channels], 8), ...others];
      const after = (other?: TfTensor): nn.AfterBatchNorm => ({
        ...(other ? { shortcut: other } : {}),
        ...('low' in clipping ? { clipping: clipping as nn.Clipping } : {}),
      });
      const once = (x?: TfTensor, s?: TfTensor, b?: TfTensor, other?: TfTensor) =>
        nn.batchNormTraining(x!, s!, b!, 1e-3, after(other)).y;
      const singly = (x?: TfTensor, s?: TfTensor, b?: TfTensor, other?: TfTensor) => {
        const { y } = nn.batchNormTraining(x!, s!, b!, 1e-3);
        const sum = other ? tf.add(y, other) : y;
        return 'low' in clipping ? tf.minimum(tf.maximum(sum, clipping.low!), clipping.high!) : sum;
      };
      expect(maxDifference(once(...inputs), singly(...inputs).dataSync())).toBeLessThan(1e-5);
      const dy = filled(shape, 7);
      const gradients = (f: typeof once) =>
        tf.grads((...args: TfTensor[]) => tf.sum(tf.mul(f(...args), dy)))(inputs) as TfTensor[];
      const expected = gradients(singly);
      gradients(once).forEach((gradient, i) =>
        expect(maxDifference(gradient, expected[i]!.dataSync())).toBeLessThan(
          1e-5 * Math.max(1, tf.max(tf.abs(expected[i]!)).dataSync()[0]!),
        ),
      );
      // The step moves few values over a bound.
      expect(Math.max(...gradientErrors(once, inputs, 1e-3))).toBeLessThan(2e-2);
    }),
  );

  test('of a value that ReLU meets at zero no gradient passes, of one that clipping meets there all does', () =>
    tidy(() => {
      const [x, none] = [filled([5, 3], 3), tf.zeros([3])];
      const gradientOfBias = (clipping: nn.Clipping) =>
        tf.grads((b: TfTensor) => tf.sum(nn.batchNormTraining(x, none, b, 1e-3, { clipping }).y))([none])[0]!;
      expect(maxDifference(gradientOfBias(nn.RELU), [0, 0, 0])).toBe(0);
      expect(maxDifference(gradientOfBias({ low: 0, high: 6, passesAtLow: true }), [5, 5, 5])).toBe(0);
    }));

  test('batch normalization far from zero keeps its variance', () =>
    tidy(() => {
      const x = tf.add(tf.mul(filled([2000, 3], 3), 1e-2), 100);
      const values = x.dataSync();
      const { mean, variance } = nn.batchNormTraining(x, tf.ones([3]), tf.zeros([3]), 1e-3);
      const [means, variances] = [mean.dataSync(), variance.dataSync()];
      for (let c = 0; c < 3; c++) {
        const column = Array.from({ length: 2000 }, (_, i) => values[i * 3 + c]!);
        const average = column.reduce((a, b) => a + b) / 2000;
        expect(Math.abs(means[c]! - average)).toBeLessThan(1e-5);
        expect(
          Math.abs(variances[c]! / (column.reduce((sum, value) => sum + (value - average) ** 2, 0) / 2000) - 1),
        ).toBeLessThan(engine === 'wasm' ? 1e-1 : 2e-3);
      }
    }));

  test('layer normalization over two axes', () =>
    tidy(() => {
      const inputs = [filled([3, 4, 5], 3), filled([4, 5], 5), filled([4, 5], 8)];
      const values = nn.layerNorm(filled([3, 4, 5], 3), tf.ones([4, 5]), null, [-2, -1], 0);
      const { mean, variance } = tf.moments(values, [1, 2]);
      expect(maxDifference(mean, [0, 0, 0])).toBeLessThan(1e-6);
      expect(maxDifference(variance, [1, 1, 1])).toBeLessThan(1e-5);
      expect(Math.max(...gradientErrors((x, s, b) => nn.layerNorm(x, s, b, [1, 2], 1e-3), inputs, 1e-2))).toBeLessThan(
        CURVED,
      );
    }));

  test('layer normalization over the last axis, wide rows far from zero', () =>
    tidy(() => {
      const [x, scale, bias] = [tf.add(filled([40, 1000], 3), 50), filled([1000], 5), filled([1000], 8)];
      const rows = Array.from({ length: 40 }, (_, row) => [...x.dataSync()].slice(row * 1000, row * 1000 + 1000));
      const expected = rows.flatMap((row) => {
        const mean = row.reduce((a, b) => a + b) / 1000;
        const deviation = Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 1000 + 1e-3);
        return row.map((value, i) => ((value - mean) / deviation) * scale.dataSync()[i]! + bias.dataSync()[i]!);
      });
      // x has 4e-6 of rounding, the deviation is 0.6
      expect(maxDifference(nn.layerNorm(x, scale, bias, [-1], 1e-3), expected)).toBeLessThan(1e-4);
      expect(
        Math.max(
          ...gradientErrors((a, s, b) => nn.layerNorm(a, s, b, [1], 1e-3), [filled([40, 1000], 3), scale, bias], 1e-2),
        ),
      ).toBeLessThan(CURVED);
    }));

  test.each([
    [-0.5, 0.25],
    [-Infinity, 0.1],
    [0, Infinity],
    [0.5, -0.5],
  ])('clip to [%d, %d]', (low, high) =>
    tidy(() => {
      const x = filled([3, 50, 7], 3);
      expect(
        maxDifference(
          nn.clip(x, low, high),
          Array.from(x.dataSync(), (value) => Math.fround(Math.min(Math.max(value, low), high))),
        ),
      ).toBe(0);
      const inside = Array.from(x.dataSync(), (value) => (low <= high && value > low && value < high ? 1 : 0));
      expect(maxDifference(tf.grad((a) => tf.sum(nn.clip(a, low, high)))(x), inside)).toBe(0);
    }),
  );

  describe.each(attentionCases)(
    'attention: $name',
    ({ batch, heads, rows, columns, size, valueSize, orders, mask: maskShape }) => {
      const orderOf = (operand: number) => HEAD_ORDERS[orders[operand] as 'h' | 't'];
      const made = (tokens: number, features: number, operand: number) =>
        filled(
          orders[operand] === 'h' ? [batch, heads, tokens, features] : [batch, tokens, heads, features],
          3 + operand,
        );
      const operands = () => [made(rows, size, 0), made(columns, size, 1), made(columns, valueSize, 2)] as const;
      const maskOf = () => (maskShape ? tf.mul(filled([...maskShape, columns], 11), 3) : null);
      const options = (mask: TfTensor | null): nn.AttentionOptions => ({
        scale: 0.7,
        mask,
        maskLearns: mask !== null,
        orders: { q: orderOf(0), k: orderOf(1), v: orderOf(2), y: orderOf(3) },
      });
      test('equals the direct sums', () =>
        tidy(() => {
          const mask = maskOf();
          const [q, k, v] = operands();
          const y = nn.attention(q, k, v, options(mask));
          const byHead = [q, k, v].map((x, i) => tf.transpose(x, [...orderOf(i)])) as [TfTensor, TfTensor, TfTensor];
          const expected = directAttention(...byHead, 0.7, mask && tf.broadcastTo(mask, [batch, heads, rows, columns]));
          expect(maxDifference(tf.transpose(y, [...orderOf(3)]), expected)).toBeLessThan(FORWARD);
        }));
      test('gradients, that of the mask included', () =>
        tidy(() => {
          const mask = maskOf();
          const errors = gradientErrors(
            (q, k, v, m) => nn.attention(q, k, v, options(m ?? null)),
            [...operands(), ...(mask ? [mask] : [])],
            1e-2,
          );
          expect(Math.max(...errors)).toBeLessThan(CURVED);
        }));
    },
  );

  test('attention with keys that a mask hides, and a sample that sees none', () =>
    tidy(() => {
      const [q, k, v] = [filled([2, 1, 3, 4], 3), filled([2, 1, 5, 4], 5), filled([2, 1, 5, 4], 8)];
      const hidden = -Infinity;
      const mask = tf.tensor4d([0, hidden, 0, hidden, hidden, ...new Array<number>(5).fill(hidden)], [2, 1, 1, 5]);
      const orders = { q: nn.HEADS_FIRST, k: nn.HEADS_FIRST, v: nn.HEADS_FIRST, y: nn.HEADS_FIRST };
      const [y, none] = tf.unstack(nn.attention(q, k, v, { scale: 1, mask, maskLearns: false, orders })) as [
        TfTensor,
        TfTensor,
      ];
      const seen = [q, ...[k, v].map((x) => tf.gather(x, tf.tensor1d([0, 2], 'int32'), 2))].map((x) =>
        tf.slice(x, [0, 0, 0, 0], [1, -1, -1, -1]),
      ) as [TfTensor, TfTensor, TfTensor];
      expect(maxDifference(y, directAttention(...seen, 1, null))).toBeLessThan(FORWARD);
      expect([...none.dataSync()].every(Number.isNaN)).toBe(true); // 0 / 0, as the softmax of such a row
    }));

  test('softmax of rows of odd and large width, with values that overflow exp', () =>
    tidy(() => {
      for (const shape of [
        [3, 5, 7],
        [2, 1000],
        [4, 1],
      ]) {
        const x = tf.mul(filled(shape, 3), 100);
        const width = shape.at(-1)!;
        const expected = Array.from({ length: x.size / width }, (_, row) => {
          const values = [...x.dataSync()].slice(row * width, row * width + width);
          const exps = values.map((value) => Math.exp(value - Math.max(...values)));
          return exps.map((value) => value / exps.reduce((a, b) => a + b));
        });
        expect(maxDifference(nn.softmax(x), expected.flat())).toBeLessThan(1e-6);
      }
      expect([...nn.softmax(tf.tensor([-Infinity, 0, -Infinity, NaN], [2, 2])).dataSync()]).toEqual([0, 1, NaN, NaN]);
      expect(Math.max(...gradientErrors((a) => nn.softmax(a), [filled([5, 33], 3)], 1e-2))).toBeLessThan(CURVED);
    }));

  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('matMul, transposed %s %s', (transposeA, transposeB) =>
    tidy(() => {
      const inputs = [filled(transposeA ? [5, 4] : [4, 5], 3), filled(transposeB ? [6, 5] : [5, 6], 5)];
      const product = (a?: TfTensor, b?: TfTensor) => nn.matMul(a!, b!, transposeA, transposeB);
      const [a, b] = [
        transposeA ? tf.transpose(inputs[0]!) : inputs[0]!,
        transposeB ? tf.transpose(inputs[1]!) : inputs[1]!,
      ];
      const sums = tf.sum(tf.mul(tf.expandDims(a, 2), tf.expandDims(b, 0)), 1);
      expect(maxDifference(product(...inputs), sums.dataSync() as Float32Array)).toBeLessThan(FORWARD);
      expect(Math.max(...gradientErrors(product, inputs, 0.25))).toBeLessThan(LINEAR);
    }),
  );

  test('pickNumbers: any number of times each, some never', () =>
    tidy(() => {
      const x = filled([7], 3);
      const at = tf.tensor1d([6, 0, 0, 2, 6, 1, 6, 4, 0, 5, 2], 'int32');
      expect(
        maxDifference(
          nn.pickNumbers(x, at),
          Array.from(at.dataSync(), (i) => x.dataSync()[i]!),
        ),
      ).toBe(0);
      expect(Math.max(...gradientErrors((v) => nn.pickNumbers(v, at), [x], 0.25))).toBeLessThan(LINEAR);
    }));

  test('relu, biasAdd and cross-entropy', () =>
    tidy(() => {
      const x = filled([4, 6], 3);
      expect(
        maxDifference(
          nn.relu(x),
          Array.from(x.dataSync(), (value) => Math.max(value, 0)),
        ),
      ).toBe(0);
      expect(Math.max(...gradientErrors((a) => nn.relu(a), [x], 2 ** -12))).toBeLessThan(CURVED);
      expect(
        Math.max(...gradientErrors((a, b) => nn.biasAdd(a, b), [filled([2, 3, 4, 6]), filled([6], 2)], 0.25)),
      ).toBeLessThan(LINEAR);
      const labels = tf.softmax<TfTensor>(filled([4, 6], 9));
      const expected = Array.from({ length: 4 }, (_, row) =>
        crossEntropy([...x.dataSync()].slice(row * 6, row * 6 + 6), [...labels.dataSync()].slice(row * 6, row * 6 + 6)),
      );
      expect(maxDifference(nn.softmaxCrossEntropy(x, labels), expected)).toBeLessThan(1e-6);
      expect(Math.max(...gradientErrors((z) => nn.softmaxCrossEntropy(z, labels), [x], 1e-2))).toBeLessThan(CURVED);
    }));

  test('random tensors are functions of their seed', () =>
    tidy(() => {
      const seed = tf.tensor1d([5, 9], 'int32');
      const [a, b, other] = [
        nn.statelessUniform([5000], seed, 1),
        nn.statelessUniform([5000], seed, 1),
        nn.statelessUniform([5000], seed, 2),
      ];
      expect(maxDifference(a, b.dataSync())).toBe(0);
      expect(maxDifference(a, other.dataSync())).toBeGreaterThan(0.5);
      expect(Math.min(...a.dataSync())).toBeGreaterThanOrEqual(0);
      expect(Math.max(...a.dataSync())).toBeLessThan(1);
      expect(tf.mean(a).dataSync()[0]).toBeCloseTo(0.5, 1);
      const { mean, variance } = tf.moments(nn.statelessNormal([20_000], seed, 3));
      expect(mean.dataSync()[0]).toBeCloseTo(0, 1);
      expect(variance.dataSync()[0]).toBeCloseTo(1, 1);
    }));

  test('nothing is left behind', () => {
    const before = tf.memory().numTensors;
    tidy(
      () =>
        void gradientErrors(
          (x, s, b) => nn.batchNormTraining(nn.conv(x, s), tf.ones([3]), b, 1e-3).y,
          [filled([2, 4, 4, 2]), filled([2, 2, 2, 3]), filled([3])],
          1e-2,
        ),
    );
    expect(tf.memory().numTensors).toBe(before);
  });
}

function tidy(body: () => void): void {
  tf.tidy(() => body());
}

function crossEntropy(logits: number[], labels: number[]): number {
  const total = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
  return logits.reduce((sum, z, i) => sum - labels[i]! * (z - total), 0);
}
