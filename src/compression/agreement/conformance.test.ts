import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { writeOnnx, writeTensor } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import type { Tensor } from '../ir/types.ts';
import { startEngine } from '../tensor/engine.ts';
import { runCase, type Verdict } from './conformance.ts';

const root = mkdtempSync(join(tmpdir(), 'lathe-conformance-'));
beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});
afterAll(() => rmSync(root, { recursive: true }));

/** The verdict on y = LpNormalization(x) over the first axis. */
function verdictOn(
  name: string,
  x: Tensor,
  expected: Tensor,
  { opset = 22, attributes = { axis: 0 } }: { opset?: number; attributes?: Record<string, number> } = {},
): Verdict {
  const folder = join(root, name);
  mkdirSync(join(folder, 'test_data_set_0'), { recursive: true });
  const model = modelOf({
    opset,
    nodes: [makeNode('LpNormalization', ['x'], ['y'], attributes)],
    inputs: [value('x', x.dims)],
    outputs: [value('y', x.dims)],
  });
  writeFileSync(join(folder, 'model.onnx'), writeOnnx(model));
  writeFileSync(join(folder, 'test_data_set_0', 'input_0.pb'), writeTensor(x));
  writeFileSync(join(folder, 'test_data_set_0', 'output_0.pb'), writeTensor(expected));
  return runCase(folder).verdict;
}

const x = tensor('x', [2, 3], [3, 0, 1, 4, 0, 0]);
const right = [0.6, 0, 1, 0.8, 0, 0];
const with5 = (last: number): Tensor => tensor('y', [2, 3], [...right.slice(0, 5), last]);

it('passes what is equal, and fails what is not', () => {
  expect(verdictOn('test_own', x, tensor('y', [2, 3], right))).toEqual({ kind: 'passed' });
  expect(verdictOn('test_own', x, with5(0.5))).toEqual({
    kind: 'failed',
    reason: 'output "y": element 5 is 0, should be 0.5',
  });
});

it('counts a case of an opset that is not known as unsupported', () => {
  expect(verdictOn('test_newer', x, with5(0), { opset: 29 })).toEqual({
    kind: 'unsupported',
    reason: expect.stringContaining('opset 29 is newer than the 28 this release knows'),
  });
});

it('fails a case with an attribute that its operator does not have, rather than ignoring it', () => {
  expect(verdictOn('test_attribute', x, with5(0), { attributes: { axis: 0, epsilon: 1 } })).toEqual({
    kind: 'failed',
    reason: expect.stringContaining('LpNormalization has no attribute "epsilon"'),
  });
});

it('tells what an earlier release expected from a failure, by name and value', () => {
  expect(verdictOn('test_l2normalization_axis_0', x, with5(NaN))).toEqual({
    kind: 'unsupported',
    reason: expect.stringContaining('before its errata'),
  });
  expect(verdictOn('test_l2normalization_axis_0', x, with5(0.5))).toMatchObject({ kind: 'failed' });
  expect(verdictOn('test_own', x, with5(NaN))).toMatchObject({ kind: 'failed' });
});
