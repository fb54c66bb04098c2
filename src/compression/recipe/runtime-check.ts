/**
 * Checks a model before it is offered: it must run in onnxruntime, on real samples if there are any, and outputs that
 * were finite must stay finite.
 */
import type { Transform } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { weights } from '../graph/describe.ts';
import { nanWarnings } from '../graph/nan-weights.ts';
import type { Model } from '../ir/types.ts';
import { datasetFeeds, sampleOf } from '../measure/inputs.ts';
import { randomInputs } from '../measure/random-inputs.ts';
import { openRuntime, withRuntime, type Feeds, type Runtime, type RuntimeOutput } from '../measure/session.ts';

export interface CheckInput {
  readonly dataset: Dataset | null;
  readonly transform: Transform;
  /** The step that made the file, for the error. */
  readonly technique: string;
  /** The step's input model; absent: its outputs are known to be finite. */
  readonly before?: Model;
}

const SAMPLES = 8;

/**
 * @throws LatheError `internal` if onnxruntime refuses the file or an output is not finite (the step is at fault, not
 * the user); onnxruntime's own error if it also refuses the model before the step; `malformed-model` if an output was
 * already NaN before the step.
 */
export async function checkRuns(
  bytes: Uint8Array,
  { dataset, transform, technique, before }: CheckInput,
): Promise<void> {
  const runtime = await openRuntime(bytes).catch(async (error: unknown) => {
    if (before) await withRuntime(writeOnnx(before), () => Promise.resolve());
    throw new LatheError(
      'internal',
      `onnxruntime cannot open the model that ${technique} made: ${(error as Error).message}`,
      [],
      { cause: error },
    );
  });
  try {
    const feeds = await someInputs(bytes, runtime, dataset, transform);
    const wild = [...(await runtime.run(feeds))].filter(([, output]) => !allFinite(output));
    const [first] = wild;
    if (!first) return;
    if (!before) throw madeNotFinite(first[0], technique);
    await compareWithBefore(wild, feeds, technique, before);
  } finally {
    await runtime.release();
  }
}

const madeNotFinite = (name: string, technique: string): LatheError =>
  new LatheError('internal', `Output "${name}" of the model that ${technique} made is not finite`);

/** Accepts infinities that were there before: scores masked with -inf are intended. */
async function compareWithBefore(
  wild: readonly (readonly [string, RuntimeOutput])[],
  feeds: Feeds,
  technique: string,
  before: Model,
): Promise<void> {
  const outputs = await withRuntime(writeOnnx(before), (runtime) => runtime.run(feeds));
  for (const [name, output] of wild) {
    const own = outputs.get(name);
    if (own && [...own.data].some(Number.isNaN)) {
      const why = nanWarnings(weights(before.graph))[0]?.message ?? 'what is not finite cannot be compared';
      throw new LatheError('malformed-model', `Output "${name}" is not finite, nor was it before ${technique}: ${why}`);
    }
    if (
      own?.data.length !== output.data.length ||
      output.data.some((value, i) => !Number.isFinite(value) && value !== own.data[i])
    )
      throw madeNotFinite(name, technique);
  }
}

async function someInputs(
  bytes: Uint8Array,
  runtime: Runtime,
  dataset: Dataset | null,
  transform: Transform,
): Promise<Feeds> {
  const split =
    dataset &&
    (['test', 'validation', 'train'] as const).map((name) => dataset.split(name)).find(({ length }) => length > 0);
  if (split)
    for await (const { inputs } of datasetFeeds(sampleOf(split, SAMPLES, 0), runtime.inputs, transform, SAMPLES))
      return inputs;
  const random = await randomInputs(readOnnx(bytes), runtime, 0);
  return random.make(0, random.minSamples);
}

function allFinite({ data }: RuntimeOutput): boolean {
  return (
    !(data instanceof Float32Array || data instanceof Float64Array) || data.every((value) => Number.isFinite(value))
  );
}
