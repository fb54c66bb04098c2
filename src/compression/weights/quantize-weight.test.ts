import { describe, expect, it } from 'vitest';
import { seededNormal } from '../data/random.ts';
import { makeNode } from '../ir/edit.ts';
import { eachNeighbour, pairMagnitude, sumOrders } from '../graph/saturation.ts';
import { tensor } from '../../../test/support/graphs.ts';
import type { Tensor } from '../ir/types.ts';
import { quantizeWeight, type WeightScheme } from './quantize-weight.ts';

const normal = seededNormal(4);
const weight = (dims: readonly number[]) =>
  tensor(
    'w',
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => normal()),
  );
/** Decibels of the codes' noise. */
function quality(original: Tensor, scheme: WeightScheme): number {
  const values = new Float32Array(original.bytes.buffer, original.bytes.byteOffset, original.bytes.length / 4);
  const { codes, affines } = quantizeWeight(original, scheme);
  const stride =
    scheme.channelAxis === null ? Infinity : original.dims.slice(scheme.channelAxis + 1).reduce((a, b) => a * b, 1);
  const scaleOf = (i: number) =>
    affines[scheme.channelAxis === null ? 0 : Math.floor(i / stride) % original.dims[scheme.channelAxis]!]!;
  let [signal, noise] = [0, 0];
  values.forEach((value, i) => {
    const { scale, zeroPoint } = scaleOf(i);
    signal += value ** 2;
    noise += (value - (codes[i]! - zeroPoint) * scale) ** 2;
  });
  return 10 * Math.log10(signal / noise);
}

const conv = makeNode('Conv', ['x', 'w'], ['y']);
const CASES: readonly (readonly [string, Tensor, Omit<WeightScheme, 'type'>, number])[] = [
  [
    'of a convolution',
    weight([16, 8, 3, 3]),
    { symmetric: true, channelAxis: 0, sums: sumOrders(conv, [16, 8, 3, 3]) },
    40,
  ],
  ['of a matrix', weight([64, 32]), { symmetric: true, channelAxis: 1, sums: [[0]] }, 40],
  ['with one scale', weight([64, 32]), { symmetric: true, channelAxis: null, sums: [[0]] }, 37],
  ['used along both axes', weight([32, 32]), { symmetric: true, channelAxis: null, sums: [[0], [1]] }, 37],
  ['around a zero point', weight([64, 32]), { symmetric: false, channelAxis: null, sums: [[0]] }, 33],
];

describe('codes whose products cannot saturate', () => {
  it.each(CASES)('%s: no neighbours pass the limit', (_, original, scheme, decibels) => {
    const { codes } = quantizeWeight(original, { ...scheme, type: 'int8' });
    let most = 0;
    for (const order of scheme.sums!)
      eachNeighbour(original.dims, order, (first, second) => {
        most = Math.max(most, pairMagnitude(codes[first]!, codes[second]!));
      });
    expect(most).toBeLessThanOrEqual(128);
    expect(most).toBeGreaterThan(scheme.symmetric ? 125 : 60); // the range is used
    expect(quality(original, { ...scheme, type: 'int8' })).toBeGreaterThan(decibels);
  });

  it('cost less than a bit', () => {
    const original = weight([64, 32]);
    const scheme = { type: 'int8', symmetric: true, channelAxis: 1 } as const;
    const [whole, limited, narrow] = [
      quality(original, scheme),
      quality(original, { ...scheme, sums: [[0]] }),
      quality(original, { ...scheme, reduceRange: true }),
    ];
    expect(limited).toBeGreaterThan(whole - 4);
    expect(limited).toBeGreaterThan(narrow + 2);
  });

  it('leave zeros and lone large weights as they are', () => {
    const { codes, affines } = quantizeWeight(tensor('w', [6, 1], [1, 0, 0.5, 0, -1, 0]), {
      type: 'int8',
      symmetric: true,
      channelAxis: 1,
      sums: [[0]],
    });
    expect([...codes]).toEqual([127, 0, 64, 0, -127, 0]);
    expect(affines[0]!.scale).toBeCloseTo(1 / 127, 7);
  });
});
