import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { tailOf } from './output-tail.ts';

async function tail(chunks: readonly Uint8Array[], maxLength: number): Promise<string> {
  const stream = Readable.from(chunks, { objectMode: false });
  const read = tailOf(stream, maxLength);
  await finished(stream);
  return read();
}

test('keeps the last characters', async () => {
  expect(await tail([Buffer.from('abc'), Buffer.from('defg')], 5)).toBe('cdefg');
  expect(await tail([Buffer.from('abc')], 5)).toBe('abc');
  expect(await tail([], 5)).toBe('');
});

test('a character that two chunks share stays whole', async () => {
  const bytes = Buffer.from('ä€');
  expect(await tail([bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3)], 10)).toBe('ä€');
});
