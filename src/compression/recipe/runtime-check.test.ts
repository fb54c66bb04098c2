/**
 * Outputs that are not finite: the step's fault where the model before it gave finite ones, else the uploaded model's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import type { Model } from '../ir/types.ts';
import { openRuntime } from '../measure/session.ts';
import { checkRuns } from './runtime-check.ts';

const product = (weight: number): Model =>
  modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
    initializers: [tensor('w', [2, 1], [1, weight])],
    inputs: [value('x', ['n', 2])],
    outputs: [value('y', ['n', 1])],
  });
const check = (before: number, after: number): Promise<void> =>
  checkRuns(writeOnnx(product(after)), {
    dataset: null,
    transform: {},
    technique: 'quantize',
    before: product(before),
  });

it('finite outputs pass', () => expect(check(1, 2)).resolves.toBeUndefined());
it('made by the step', () =>
  expect(check(1, NaN)).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining('"y" of the model that quantize made'),
  }));
it('as uploaded, with the weight', () =>
  expect(check(NaN, NaN)).rejects.toMatchObject({
    code: 'malformed-model',
    message: expect.stringMatching(/nor was it before quantize: 1 value is NaN in weight "w"/),
  }));

const sum = (w: readonly number[]): Model =>
  modelOf({
    nodes: [makeNode('Add', ['x', 'w'], ['y'])],
    initializers: [tensor('w', [3], w)],
    inputs: [value('x', ['n', 3])],
    outputs: [value('y', ['n', 3])],
  });
const checkSum = (before: readonly number[], after: readonly number[]): Promise<void> =>
  checkRuns(writeOnnx(sum(after)), { dataset: null, transform: {}, technique: 'quantize', before: sum(before) });

it('infinities that were there before pass: scores masked with -inf', () =>
  expect(checkSum([1, -Infinity, 3], [1.01, -Infinity, 3])).resolves.toBeUndefined());
it("infinities elsewhere, or of the other sign, are the step's", async () => {
  await expect(checkSum([1, -Infinity, 3], [Infinity, -Infinity, 3])).rejects.toMatchObject({ code: 'internal' });
  await expect(checkSum([1, -Infinity, 3], [1, Infinity, 3])).rejects.toMatchObject({ code: 'internal' });
});

/** Sqrt of booleans: onnxruntime refuses the file. */
const refused = modelOf({
  nodes: [makeNode('Sqrt', ['x'], ['y'])],
  initializers: [],
  inputs: [value('x', ['n', 3], 'bool')],
  outputs: [value('y', ['n', 3], 'bool')],
});

it("a file that does not open is the step's doing only where the model before it opens", async () => {
  const after = (before: Model): Promise<void> =>
    checkRuns(writeOnnx(refused), { dataset: null, transform: {}, technique: 'quantize', before });
  await expect(after(product(1))).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining('onnxruntime cannot open the model that quantize made'),
  });
  await expect(after(refused)).rejects.toMatchObject({
    code: 'malformed-model',
    message: expect.stringMatching(/^onnxruntime refuses the model/),
  });
});

it('a refusal names no path of the machine', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-refused-'));
  try {
    writeFileSync(join(folder, 'model.onnx'), writeOnnx(refused));
    const { message } = await openRuntime(join(folder, 'model.onnx')).then(
      () => new Error('it opened'),
      (error: unknown) => error as Error,
    );
    expect(message).toMatch(/Sqrt/);
    expect(message).not.toContain(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
