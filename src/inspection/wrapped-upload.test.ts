/** A wrapper round a model changes nothing in what is said of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { perceptron } from '../../test/support/models.ts';
import { writeOnnx } from '../compression/formats/onnx/write.ts';
import { createInspector } from './inspector.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-wrapped-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a gzipped ONNX model is trainable as the bare one is', async () => {
  const bytes = writeOnnx(perceptron());
  const [bare, wrapped] = [join(folder, 'model.onnx'), join(folder, 'model.onnx.gz')];
  writeFileSync(bare, bytes);
  writeFileSync(wrapped, gzipSync(bytes));
  const described = await createInspector().model(wrapped);
  expect(described).toMatchObject({ trainable: true, untrainable: [] });
  expect(described).toEqual(await createInspector().model(bare));
});
