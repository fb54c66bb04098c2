import { describe, expect, it } from 'vitest';
import { seededRandom } from '../data/random.ts';
import { makeNode } from '../ir/edit.ts';
import { eachNeighbour, pairMagnitude, MAX_PAIR_SUM, sumOrders } from './saturation.ts';

describe('sumOrders', () => {
  it.each([
    [
      'a convolution, by position and by channel',
      makeNode('Conv', ['x', 'w'], ['y']),
      [8, 4, 3, 3],
      [
        [2, 3, 1],
        [1, 2, 3],
      ],
    ],
    [
      'a grouped convolution',
      makeNode('QLinearConv', [], ['y'], { group: 2 }),
      [8, 4, 3],
      [
        [2, 1],
        [1, 2],
      ],
    ],
    ['a depthwise convolution: none', makeNode('Conv', ['x', 'w'], ['y'], { group: 8 }), [8, 1, 3, 3], []],
    [
      'a depthwise convolution with two kernels a channel',
      makeNode('Conv', ['x', 'w'], ['y'], { group: 4 }),
      [8, 1, 3, 3],
      [
        [2, 3, 1],
        [1, 2, 3],
      ],
    ],
    ['a matrix product', makeNode('MatMul', ['x', 'w'], ['y']), [64, 10], [[0]]],
    ['a batched matrix product', makeNode('MatMulInteger', ['x', 'w'], ['y']), [3, 64, 10], [[1]]],
    ['a transposed Gemm', makeNode('Gemm', ['x', 'w'], ['y'], { transB: 1 }), [10, 64], [[1]]],
  ])('of %s', (_, node, dims, orders) => expect(sumOrders(node, dims)).toEqual(orders));
});

describe('eachNeighbour', () => {
  it('visits what follows each other in every sum', () => {
    const pairs: string[] = [];
    eachNeighbour([2, 2, 2], [2, 1], (first, second) => pairs.push(`${first},${second}`));
    // [o, c, k], offsets 4 o + 2 c + k: each sum runs over (k, c) = (0, 0), (0, 1), (1, 0), (1, 1).
    expect(pairs.sort()).toEqual(['0,2', '1,3', '2,1', '4,6', '5,7', '6,5'].sort());
  });

  it('has nothing to visit in sums of one term', () => {
    eachNeighbour([5, 1], [1], () => {
      throw new Error('no pair');
    });
  });
});

describe('the limit', () => {
  it('is the largest that keeps every sum of two products within 16 bits', () => {
    const extremes = (first: number, second: number) => {
      const sums = [0, 255].flatMap((a) => [0, 255].map((b) => a * first + b * second));
      return { low: Math.min(...sums), high: Math.max(...sums) };
    };
    const uniform = seededRandom(1);
    for (let i = 0; i < 20_000; i++) {
      const [first, second] = [Math.round(uniform() * 255 - 128), Math.round(uniform() * 255 - 128)] as const;
      const { low, high } = extremes(first, second);
      expect(low >= -32_768 && high <= 32_767).toBe(pairMagnitude(first, second) <= MAX_PAIR_SUM);
    }
  });
});
