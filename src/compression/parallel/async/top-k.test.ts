import { expect, test } from 'vitest';
import { seededNormal } from '../../data/random.ts';
import { decodeDense, decodeSparse, encodeDense, encodeSparse } from './gradient-encoding.ts';
import type { Tensors } from './tensors.ts';
import { largest, toDense, TopKCompressor } from './top-k.ts';

const SIZES = { kernel: 500, bias: 7 };
const draw = (...streams: number[]): Tensors =>
  new Map(Object.entries(SIZES).map(([name, length], i) => [name, normals(length, i, ...streams)]));

function normals(length: number, ...streams: number[]): Float32Array {
  const normal = seededNormal(3, ...streams);
  return Float32Array.from({ length }, normal);
}

test('the largest values, those that come first among equals', () => {
  const { indices, values } = largest(Float32Array.of(1, -5, 3, 3, -3, 0), 3);
  expect([...indices]).toEqual([1, 2, 3]);
  expect([...values]).toEqual([-5, 3, 3]);
  expect([...largest(new Float32Array(4), 2).indices]).toEqual([0, 1]);
});

test('what is not sent stays: all that was sent and the residual are the sum of the gradients', () => {
  const compressor = new TopKCompressor(draw(), { topK: 0.05, momentum: 0 });
  const sent = new Map(Object.entries(SIZES).map(([name, length]) => [name, new Float64Array(length)]));
  const total = new Map(Object.entries(SIZES).map(([name, length]) => [name, new Float64Array(length)]));
  for (let step = 0; step < 40; step++) {
    const gradient = draw(step);
    for (const [name, values] of gradient) add(total.get(name)!, values);
    const sparse = compressor.compress(gradient);
    expect(sparse.get('kernel')!.indices.length).toBe(25);
    expect(sparse.get('bias')!.indices.length).toBe(1);
    for (const [name, values] of toDense(sparse)) add(sent.get(name)!, values);
  }
  for (const [name, sums] of total)
    sums.forEach((sum, i) => expect(sent.get(name)![i]! + compressor.residual.get(name)![i]!).toBeCloseTo(sum, 4));
});

test('momentum is taken before the selection and forgotten where a value was sent', () => {
  const like: Tensors = new Map([['w', new Float32Array(2)]]);
  const compressor = new TopKCompressor(like, { topK: 0.5, momentum: 0.5 });
  const step = (...gradient: number[]) => [
    ...(toDense(compressor.compress(new Map([['w', Float32Array.from(gradient)]]))).get('w') ?? []),
  ];
  // u = [4, 1], v = [4, 1]: the first is sent, and forgotten
  expect(step(4, 1)).toEqual([4, 0]);
  // u = [0 + 1, 0.5 + 1] = [1, 1.5], v = [1, 2.5]: the second
  expect(step(1, 1)).toEqual([0, 2.5]);
  // u = [0.5, 0] + [0, 0.25], v = [1.5, 0.25]
  expect(step(0, 0.25)).toEqual([1.5, 0]);
});

test('everything sent with momentum: the velocities of plain momentum', () => {
  const compressor = new TopKCompressor(draw(), { topK: 1, momentum: 0.9 });
  const gradient = draw(1);
  expect(toDense(compressor.compress(gradient))).toEqual(gradient);
  // the masking then forgets the velocity: the second is the gradient again
  expect(toDense(compressor.compress(draw(2)))).toEqual(draw(2));
});

test('gradients survive the way as bytes', () => {
  const gradient = draw(5);
  expect(decodeDense(encodeDense(gradient, 'float32'), gradient, 'float32')).toEqual(gradient);
  const sparse = new TopKCompressor(gradient, { topK: 0.1, momentum: 0 }).compress(gradient);
  const bytes = encodeSparse(sparse, 'float32');
  expect(decodeSparse(bytes, gradient, 'float32')).toEqual(sparse);
  // a count, then for each value 4 bytes and a gap of less than 128
  expect(bytes.length).toBe(1 + 50 * 5 + 1 + 1 * 5);
  expect(encodeDense(gradient, 'float16').length).toBe(507 * 2);
});

test('float16 rounds to nearest and keeps what is beyond its range finite', () => {
  const gradient: Tensors = new Map([['w', Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 1e6, -1e6, 2 ** -24)]]);
  const [values] = decodeDense(encodeDense(gradient, 'float16'), gradient, 'float16').values();
  expect([...values!]).toEqual([1, 1 + 2 ** -9, 65504, -65504, 2 ** -24]);
});

test('large gaps, and bytes that do not fit', () => {
  const like: Tensors = new Map([['w', new Float32Array(70_000)]]);
  const values = new Float32Array(70_000);
  values[0] = 1;
  values[20_000] = 2;
  values[69_999] = 3;
  const sparse = new Map([['w', largest(values, 3)]]);
  const bytes = encodeSparse(sparse, 'float32');
  expect(decodeSparse(bytes, like, 'float32')).toEqual(sparse);
  expect(() => decodeSparse(bytes, new Map([['w', new Float32Array(100)]]), 'float32')).toThrow(/beyond "w"/);
  expect(() => decodeSparse(bytes.subarray(0, 4), like, 'float32')).toThrow(RangeError);
  expect(() => decodeDense(bytes, like, 'float32')).toThrow(RangeError);
});

function add(sums: Float64Array, values: Float32Array): void {
  values.forEach((value, i) => (sums[i]! += value));
}
