/**
 * What the children that look at an upload hold of it at their peak (docs/decisions/import-cost.md). Linux alone tells.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelOf, value } from '../../test/support/graphs.ts';
import { randomTensor } from '../../test/support/models.ts';
import { writeOnnx } from '../compression/formats/onnx/write.ts';
import { makeNode as node } from '../compression/ir/edit.ts';
import type { Model } from '../compression/ir/types.ts';
import { createInspector } from './inspector.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-import-memory-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LAYERS = 16;
const POLL_MS = 5;

/** [n, width] through layers of width x width. */
function perceptron(width: number): Model {
  const layers = Array.from({ length: LAYERS }, (_, i) => [
    node('Gemm', [i === 0 ? 'x' : `r${i - 1}`, `w${i}`, `b${i}`], [`h${i}`]),
    node('Relu', [`h${i}`], [`r${i}`]),
  ]);
  const weights = Array.from({ length: LAYERS }, (_, i) => [
    randomTensor(`w${i}`, [width, width], i),
    randomTensor(`b${i}`, [width], 100 + i),
  ]);
  return modelOf({
    nodes: layers.flat(),
    initializers: weights.flat(),
    inputs: [value('x', ['n', width])],
    outputs: [value(`r${LAYERS - 1}`, null)],
  });
}

/** Images of 8 x 8 through layers of 3 x 3 kernels, each with a normalization. */
function convolutional(channels: number): Model {
  const layers = Array.from({ length: LAYERS }, (_, i) => [
    node('Conv', [i === 0 ? 'x' : `r${i - 1}`, `w${i}`], [`c${i}`], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    node('BatchNormalization', [`c${i}`, 'scale', 'shift', 'mean', 'variance'], [`n${i}`]),
    node('Relu', [`n${i}`], [`r${i}`]),
  ]);
  const weights = Array.from({ length: LAYERS }, (_, i) => randomTensor(`w${i}`, [channels, channels, 3, 3], i));
  const statistics = ['scale', 'shift', 'mean', 'variance'].map((name) => ({
    ...randomTensor(name, [channels], 1),
    bytes: new Uint8Array(new Float32Array(channels).fill(name === 'scale' || name === 'variance' ? 1 : 0).buffer),
  }));
  return modelOf({
    nodes: layers.flat(),
    initializers: [...weights, ...statistics],
    inputs: [value('x', ['n', channels, 8, 8])],
    outputs: [value(`r${LAYERS - 1}`, null)],
  });
}

interface Peaks {
  readonly sizeBytes: number;
  readonly inspecting: number;
  readonly comparing: number;
}

/** Peak resident bytes of each child that the import of a model starts. */
async function importPeaks(model: Model, name: string): Promise<Peaks> {
  const path = join(folder, name);
  const bytes = writeOnnx(model);
  writeFileSync(path, bytes);
  const peaks = new Map<string, number>();
  const timer = setInterval(() => {
    for (const [child, peak] of peaksOf(path)) peaks.set(child, Math.max(peak, peaks.get(child) ?? 0));
  }, POLL_MS);
  const description = await createInspector()
    .model(path)
    .finally(() => clearInterval(timer));
  expect(description).toMatchObject({ trainable: true, untrainable: [] });
  return { sizeBytes: bytes.length, inspecting: peaks.get('inspect-model')!, comparing: peaks.get('check-model')! };
}

/** Of the processes that were given this file. */
function peaksOf(path: string): [child: string, bytes: number][] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      const child = /(inspect-model|check-model)\.js\0/.exec(contentOf(`/proc/${pid}/cmdline`, path))?.[1];
      const kilobytes = child && /^VmHWM:\s+(\d+) kB$/m.exec(contentOf(`/proc/${pid}/status`))?.[1];
      return kilobytes ? [[child, Number(kilobytes) * 1024] as [string, number]] : [];
    });
}

/** Of a file that may be gone; nothing where it lacks `part`. */
function contentOf(path: string, part = ''): string {
  try {
    const content = readFileSync(path, 'utf8');
    return content.includes(part) ? content : '';
  } catch {
    return '';
  }
}

/**
 * The file itself, the weights in one runtime, and what a layer needs while it runs or is optimized. Measured: 1.2 and
 * 1.7, for convolutions 1.4 and 2.0; both runtimes' weights at once, or an allocator that gives nothing back, are 4 to
 * 7.
 */
test.skipIf(!existsSync('/proc/self/status')).each([
  ['products', perceptron, 16, 1024],
  ['convolutions', convolutional, 8, 340],
] as const)('an import of %s holds at most three times the file', async (_, make, small, large) => {
  const base = await importPeaks(make(small), 'small.onnx');
  const given = await importPeaks(make(large), 'large.onnx');
  expect(given.sizeBytes).toBeGreaterThan(64e6);
  expect((given.inspecting - base.inspecting) / given.sizeBytes).toBeLessThan(3);
  expect((given.comparing - base.comparing) / given.sizeBytes).toBeLessThan(3);
});
