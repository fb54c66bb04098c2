import { expect, test } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';

test('checkpoints keep every value; those of another version are refused', () => {
  const checkpoint = {
    epoch: 2,
    step: 31,
    history: [{ loss: 0.5 }],
    bestMetrics: { loss: 0.25 },
    bestStep: 20,
    current: new Map([
      ['value w1', { shape: [1, 3], data: Float32Array.of(1.5, -0, 3e-40) }],
      ['mean w1', { shape: [0], data: new Float32Array(0) }],
      ['value s', { shape: [], data: Float32Array.of(7) }],
    ]),
    best: new Map([['value w1', { shape: [1], data: Float32Array.of(Math.PI) }]]),
  };
  const bytes = encodeCheckpoint(checkpoint);
  // A view that does not start at a multiple of four bytes, as files and slices give.
  const shifted = new Uint8Array([0, ...bytes]).subarray(1);
  expect(decodeCheckpoint(shifted)).toEqual(checkpoint);
  const other = Buffer.from(bytes.slice());
  other.write(other.toString('latin1').replace('"version":2', '"version":1'), 'latin1');
  expect(decodeCheckpoint(other)).toBeNull();
});
