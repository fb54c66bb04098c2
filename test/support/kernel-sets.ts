/**
 * The tests of the engine's own kernels, run once for each instruction set (a process holds one set): LATHE_KERNELS
 * chooses it. Results are held against direct sums in double precision, gradients against the direct sums' transposes,
 * whichever kernels the engine would choose for these sizes.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { hasInstructions } from '../../bench/instruction-set.ts';
import { engine, startEngine } from '../../src/compression/tensor/engine.ts';
import type { KernelSet } from '../../src/compression/tensor/native/binding.ts';
import { rawOp, rawOps } from '../../src/compression/tensor/native/raw-op.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';
import { directConv, filled, maxDifference, slide } from './numeric-checks.ts';

interface ConvCase {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly strides: readonly [number, number];
  /** top, left, bottom, right: ONNX's order. */
  readonly pads: readonly [number, number, number, number];
}

/**
 * Widths that leave rests of vectors and of tiles; pads, strides and sizes of every branch: bands of rows, groups of
 * images, pieces of windows, scattered gradients.
 */
const CONVS: readonly ConvCase[] = [
  { x: [2, 9, 11, 3], w: [3, 3, 3, 16], strides: [1, 1], pads: [1, 1, 1, 1] },
  { x: [3, 8, 8, 16], w: [3, 3, 16, 20], strides: [2, 2], pads: [1, 1, 1, 1] },
  { x: [2, 7, 9, 5], w: [3, 2, 5, 7], strides: [2, 3], pads: [1, 0, 2, 1] },
  { x: [2, 28, 28, 1], w: [5, 5, 1, 20], strides: [1, 1], pads: [0, 0, 0, 0] },
  { x: [2, 12, 12, 20], w: [5, 5, 20, 50], strides: [1, 1], pads: [0, 0, 0, 0] },
  { x: [1, 23, 24, 3], w: [7, 7, 3, 18], strides: [2, 2], pads: [3, 3, 3, 3] },
  { x: [5, 4, 4, 40], w: [3, 3, 40, 33], strides: [1, 1], pads: [1, 1, 1, 1] },
  { x: [1, 6, 5, 200], w: [3, 3, 200, 40], strides: [2, 2], pads: [1, 1, 1, 1] },
  { x: [2, 10, 6, 24], w: [1, 1, 24, 9], strides: [1, 1], pads: [0, 0, 0, 0] },
  { x: [2, 9, 9, 8], w: [1, 1, 8, 12], strides: [2, 2], pads: [0, 0, 0, 0] },
  { x: [1, 5, 40, 4], w: [2, 3, 4, 17], strides: [1, 4], pads: [0, 2, 1, 0] },
  { x: [2, 3, 3, 2], w: [3, 3, 2, 3], strides: [1, 1], pads: [0, 0, 0, 0] },
];

/**
 * [m, k, n], and the transposed factor: fewer rows than a tile, sums beyond a block, results much smaller than sums,
 * few rows of wide factors.
 */
const PRODUCTS: readonly (readonly [number, number, number, '' | 'a' | 'b' | 'ab'])[] = [
  [1, 7, 1, ''],
  [5, 300, 19, ''],
  [13, 37, 50, 'a'],
  [100, 520, 33, 'b'],
  [130, 64, 600, ''],
  [24, 1100, 48, 'a'],
  [17, 1030, 40, 'ab'],
  [48, 12, 64, ''],
  [7, 0, 5, ''],
];

/** Sums of up to 1800 float32 products of numbers below 1, relative to their size. */
const SUMS = 2e-5;

const tidy = (body: () => void): void =>
  tf.tidy(() => {
    body();
  });

export function describeKernelSet(set: KernelSet): void {
  describe.skipIf(!hasInstructions(set))(`kernels for ${set}`, () => {
    beforeAll(async () => {
      process.env['LATHE_KERNELS'] = set;
      await startEngine('tensorflow', { threads: 2 });
    });

    test('are those that were asked for', () => expect(engine().kernels).toBe(set));

    describe.each(CONVS)(
      'convolution of $x with $w, strides $strides, pads $pads',
      ({ x: image, w: kernel, strides, pads }) => {
        const attributes = { strides: { int: strides }, pads: { int: [pads[0], pads[2], pads[1], pads[3]] } };
        test('forward, and with a bias', () =>
          tidy(() => {
            const [x, w, bias] = [filled(image, 3), filled(kernel, 5), filled([kernel[3]!], 4)];
            const expected = directConv(x, w, { strides, pads });
            expectClose(rawOp('LatheConv', [x, w], attributes), expected);
            const b = bias.dataSync();
            expectClose(
              rawOp('LatheConvBias', [x, w, bias], attributes),
              expected.map((value, i) => value + b[i % b.length]!),
            );
          }));
        test('gradients', () =>
          tidy(() => {
            const [x, w] = [filled(image, 3), filled(kernel, 5)];
            const dy = filled(rawOp('LatheConv', [x, w], attributes).shape, 9);
            const { dx, dw } = directGradients(x, w, dy, { strides, pads });
            expectClose(
              rawOp('LatheConvInputGrad', [dy, w], { ...attributes, image: { int: [image[1]!, image[2]!] } }),
              dx,
            );
            expectClose(
              rawOp('LatheConvKernelGrad', [x, dy], { ...attributes, kernel: { int: [kernel[0]!, kernel[1]!] } }),
              dw,
            );
          }));
      },
    );

    test.each([
      [[2, 15, 18, 35], 50],
      [[8, 4, 4, 130], 40],
    ])('Winograd on %j to %d channels', (shape, co) =>
      tidy(() => {
        const [x, w] = [filled(shape, 3), filled([3, 3, shape[3]!, co], 5)];
        const [options, attributes] = [
          { strides: [1, 1], pads: [1, 1, 1, 1] },
          { pads: { int: [1, 1, 1, 1] } },
        ] as const;
        const dy = filled([...shape.slice(0, 3), co], 9);
        const { dx, dw } = directGradients(x, w, dy, options);
        expectClose(rawOp('LatheWinogradConv', [x, w], attributes), directConv(x, w, options), 4 * SUMS);
        expectClose(rawOp('LatheWinogradInputGrad', [dy, w], attributes), dx, 4 * SUMS);
        expectClose(rawOp('LatheWinogradKernelGrad', [x, dy], attributes), dw, 4 * SUMS);
      }),
    );

    test.each([
      [
        [2, 6, 7, 45],
        [3, 3],
        [1, 1],
        [1, 1, 1, 1],
      ],
      [
        [3, 9, 8, 16],
        [5, 3],
        [2, 2],
        [2, 0, 1, 1],
      ],
      [
        [1, 5, 5, 3],
        [2, 2],
        [1, 2],
        [0, 0, 0, 0],
      ],
      [
        [2, 4, 4, 70],
        [3, 3],
        [2, 2],
        [1, 1, 1, 1],
      ],
    ])('depthwise on %j, kernel %j, strides %j, pads %j', (shape, size, strides, pads) =>
      tidy(() => {
        const [x, w] = [filled(shape, 3), filled([...size, 1, shape[3]!], 5)];
        const [options, attributes] = [
          { strides, pads },
          { strides: { int: strides }, pads: { int: [pads[0]!, pads[2]!, pads[1]!, pads[3]!] } },
        ];
        const y = rawOp('LatheDepthwise', [x, w], attributes);
        expectClose(y, directConv(x, w, { ...options, groups: shape[3]! }));
        const dy = filled(y.shape, 9);
        const { dx, dw } = directGradients(x, w, dy, options, true);
        expectClose(
          rawOp('LatheDepthwiseInputGrad', [dy, w], { ...attributes, image: { int: [shape[1]!, shape[2]!] } }),
          dx,
        );
        expectClose(rawOp('LatheDepthwiseKernelGrad', [x, dy], { ...attributes, kernel: { int: size } }), dw);
      }),
    );

    test.each(PRODUCTS)('product %d x %d x %d, transposed: "%s"', (m, k, n, transposed) =>
      tidy(() => {
        const [ta, tb] = [transposed.includes('a'), transposed.includes('b')];
        const [a, b, bias] = [filled(ta ? [k, m] : [m, k], 3), filled(tb ? [n, k] : [k, n], 5), filled([n], 4)];
        const [as, bs, added] = [a.dataSync(), b.dataSync(), bias.dataSync()];
        const expected = Array.from({ length: m * n }, (_, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          let sum = 0;
          for (let p = 0; p < k; p++) sum += as[ta ? p * m + i : i * k + p]! * bs[tb ? j * k + p : p * n + j]!;
          return sum;
        });
        const attributes = { transpose_a: { bool: ta }, transpose_b: { bool: tb } };
        expectClose(rawOp('LatheMatMul', [a, b], attributes), expected);
        expectClose(
          rawOp('LatheDense', [a, b, bias], { ...attributes, relu: { bool: false } }),
          expected.map((value, i) => value + added[i % n]!),
        );
        expectClose(
          rawOp('LatheDense', [a, b, bias], { ...attributes, relu: { bool: true } }),
          expected.map((value, i) => Math.max(value + added[i % n]!, 0)),
        );
      }),
    );

    test.each([[2], [37]])('max pooling of %d channels: of equal values the first gets the gradient, NaN wins', (c) =>
      tidy(() => {
        const window = {
          kernel: { int: [1, 2] },
          strides: { int: [1, 2] },
          begins: { int: [0, 0] },
          ends: { int: [0, 0] },
        };
        const rows = (...values: number[]) => values.flatMap((value) => new Array<number>(c).fill(value));
        const x = tf.tensor(rows(3, 3, -Infinity, -Infinity, 1, NaN, NaN, 1), [1, 1, 8, c]);
        const y = rawOp('LatheMaxPool', [x], window);
        expect(Array.from(y.dataSync())).toEqual(rows(3, -Infinity, NaN, NaN));
        const dy = tf.tensor(rows(5, 6, 7, 8), [1, 1, 4, c]);
        const dx = rawOp('LatheMaxPoolGrad', [x, y, dy], window);
        expect(Array.from(dx.dataSync())).toEqual(rows(5, 0, 6, 0, 0, 0, 0, 0));
      }),
    );

    test.each([[[3, 5, 7]], [[70, 300]], [[2, 3, 4, 1]]])('gradients of a bias and of max(x, 0) over %j', (shape) =>
      tidy(() => {
        const [dy, y] = [filled(shape, 3), filled(shape, 8)];
        const [g, values, channels] = [dy.dataSync(), y.dataSync(), shape.at(-1)!];
        const sums = (of: (i: number) => number) =>
          Array.from({ length: channels }, (_, c) =>
            Array.from(g.keys()).reduce((sum, i) => sum + (i % channels === c ? of(i) : 0), 0),
          );
        const passed = Array.from(g, (value, i) => (values[i]! > 0 ? value : 0));
        expectClose(
          rawOp('LatheBiasGrad', [dy], {}),
          sums((i) => g[i]!),
        );
        const [dz, db] = rawOps('LatheReluBiasGrad', [dy, y], {}, 2);
        expect(Array.from(dz.dataSync())).toEqual(passed);
        expectClose(
          db,
          sums((i) => passed[i]!),
        );
      }),
    );
  });
}

/** Relative to the largest of the expected values. */
function expectClose(actual: TfTensor, expected: readonly number[], tolerance = SUMS): void {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  expect(maxDifference(actual, expected)).toBeLessThan(tolerance * size);
}

/** Of the direct sum: each of its products gives to both factors. */
function directGradients(
  x: TfTensor,
  w: TfTensor,
  dy: TfTensor,
  options: { strides: readonly number[]; pads: readonly number[] },
  depthwise = false,
): { dx: number[]; dw: number[] } {
  const [n, height, width, ci] = x.shape as [number, number, number, number];
  const [kh, kw, inner, co] = w.shape as [number, number, number, number];
  const [xs, ws, g] = [x.dataSync(), w.dataSync(), dy.dataSync()];
  const [dx, dw] = [new Array<number>(x.size).fill(0), new Array<number>(w.size).fill(0)];
  const pixels = dy.shape[1]! * dy.shape[2]!;
  for (let b = 0; b < n; b++)
    slide([height, width], [kh, kw], options, (out, tap, at) => {
      for (let c = 0; c < co; c++)
        for (let i = 0; i < inner; i++) {
          const [to, weight, from] = [
            (b * pixels + out) * co + c,
            (tap * inner + i) * co + c,
            (b * height * width + at) * ci + (depthwise ? c : i),
          ];
          dx[from]! += g[to]! * ws[weight]!;
          dw[weight]! += g[to]! * xs[from]!;
        }
    });
  return { dx, dw };
}
