/** Files for tests of the API: a real small model, a table, and reports as workers make them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Measures, Report } from '../../src/contracts/report.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { perceptron } from './models.ts';

export const digitCnn = (): Buffer => readFileSync(join(projectRoot, 'examples/digit_cnn.onnx'));

/** Different seeds, different bytes. */
export function smallModel(seed = 1): Buffer {
  return Buffer.from(writeOnnx(perceptron({ seed })));
}

/** Four features and one of three classes, as `perceptron` takes them. */
export function table(rows = 60): Buffer {
  const lines = Array.from(
    { length: rows },
    (_, i) => `${Math.sin(i)},${Math.cos(i)},${i % 7},${(i * i) % 5},${['a', 'b', 'c'][i % 3]}`,
  );
  return Buffer.from(['f1,f2,f3,f4,kind', ...lines].join('\n'));
}

const MEASURES: Measures = {
  sizeBytes: 1000,
  gzipBytes: 900,
  parameters: 131,
  nonZero: 131,
  macs: 112,
  accuracy: { top1: 0.9, loss: 0.3, samples: 12, split: 'test' },
  fidelity: { top1Agreement: 1, sqnrDb: null, maxAbsError: 0, samples: 12 },
  latencyMs: {
    median: 0.1,
    p90: 0.2,
    batch: 1,
    threads: 1,
    runs: 100,
    runtime: 'onnxruntime 1.30.0',
    simulated: false,
  },
};

export const REPORT: Report = {
  before: MEASURES,
  after: { ...MEASURES, sizeBytes: 500 },
  steps: [{ technique: 'quantize', after: { ...MEASURES, sizeBytes: 500 } }],
  warnings: [],
};
