/**
 * The digit classifier as products of smaller layers, retrained for one epoch of MNIST: size, operations, latency,
 * accuracy (--energy E, --epochs N)
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Measures } from '../src/contracts/report.ts';
import { readModel } from '../src/compression/formats/read-model.ts';
import { describeModel } from '../src/compression/graph/describe.ts';
import { runRecipe } from '../src/compression/recipe/run.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { mnist } from './mnist.ts';
import { saveResult } from './result.ts';

const { values: options } = parseArgs({
  options: { energy: { type: 'string', default: '0.9' }, epochs: { type: 'string', default: '1' } },
});
const SEED = 1;
/** As the classifier was trained. */
const TRANSFORM = { scale: 1 / 255, mean: [0.1307], std: [0.3081] };

await startEngine('auto');
const modelBytes = readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx'));
const { model, format } = await readModel(modelBytes);
const step = { technique: 'factorize', energy: Number(options.energy), epochs: Number(options.epochs) };
const { report } = await runRecipe({
  modelBytes,
  request: { model: 'digit_cnn', dataset: 'mnist', seed: SEED, transform: TRANSFORM, steps: [step] },
  model: { ...describeModel(model, format), trainable: true, untrainable: [] },
  dataset: mnist([28, 28]),
  threads: 1,
  loadModelBytes: () => Promise.reject(new Error('there is no other model')),
  checkpoints: () => ({ save: () => Promise.resolve(), load: () => Promise.resolve(null) }),
  signal: new AbortController().signal,
  report: (event) => {
    if (event.type === 'metric')
      process.stderr.write(`  epoch ${event.data.epoch}: ${JSON.stringify(event.data.metrics)}\n`);
  },
});
const row = ({ parameters, macs, latencyMs, accuracy }: Measures) => ({
  parameters,
  macs,
  latencyMs: latencyMs?.median,
  top1: accuracy?.top1,
});
console.table({ before: row(report.before), after: row(report.after) });
const { before, after, warnings } = report;
console.log(`Saved ${saveResult('factorization', { step, before, after, warnings })}`);
