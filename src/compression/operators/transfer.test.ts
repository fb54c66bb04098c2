/** Constants on the device, of bytes that start anywhere in a file. */
import { beforeAll, describe, expect, test } from 'vitest';
import { startEngine } from '../tensor/engine.ts';
import { tf } from '../tensor/tf.ts';
import { uploadConstant } from './transfer.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const VALUES = Float32Array.from({ length: 48 }, (_, i) => (i - 20) / 7);

/** The numbers in the middle of a file, `offset` bytes from its start. */
function inFile(offset: number, values = VALUES): { file: Uint8Array; bytes: Uint8Array } {
  const file = new Uint8Array(offset + values.byteLength + 5).fill(0xa5);
  file.set(new Uint8Array(values.buffer), offset);
  return { file, bytes: file.subarray(offset, offset + values.byteLength) };
}

describe('a float32 constant', () => {
  test.each([0, 1, 2, 3, 16, 48, 64])('whose bytes start at %i keeps every bit', (offset) => {
    const { bytes } = inFile(offset);
    const made = uploadConstant({ name: 'w', dtype: 'float32', dims: [4, 2, 6], bytes });
    expect([made.dtype, made.shape]).toEqual(['float32', [4, 2, 6]]);
    expect(made.dataSync()).toEqual(VALUES);
    made.dispose();
  });

  test('leaves the file as it was when its tensor is computed with and assigned over', () => {
    const { file, bytes } = inFile(64);
    const before = file.slice();
    const variable = tf.variable(uploadConstant({ name: 'w', dtype: 'float32', dims: [48], bytes }));
    variable.assign(tf.tidy(() => tf.add(tf.relu(variable), 1)));
    expect([...variable.dataSync()]).toEqual([...VALUES.map((value) => Math.max(0, value) + 1)]);
    expect(file).toEqual(before);
    variable.dispose();
  });

  test('of one number or none has its shape', () => {
    const { bytes } = inFile(1, Float32Array.of(2.5));
    const one = uploadConstant({ name: 'w', dtype: 'float32', dims: [], bytes });
    expect([one.shape, one.dataSync()[0]]).toEqual([[], 2.5]);
    expect(uploadConstant({ name: 'w', dtype: 'float32', dims: [0, 3], bytes: new Uint8Array(0) }).shape).toEqual([
      0, 3,
    ]);
  });

  test('of too few bytes is malformed', () => {
    expect(() => uploadConstant({ name: 'w', dtype: 'float32', dims: [3], bytes: new Uint8Array(8) })).toThrow(
      /needs 12 bytes, it has 8/,
    );
  });
});
