/** A model is offered only after it has run: in onnxruntime, on real samples where there are any, with finite outputs. */
import type { Transform } from '../../contracts/job-request.ts';
import { LatheError } from '../../errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { weights } from '../graph/describe.ts';
import { nanWarnings } from '../graph/nan-weights.ts';
import type { Model } from '../graph/types.ts';
import { datasetFeeds, sampleOf } from '../measure/inputs.ts';
import { randomInputs } from '../measure/random-inputs.ts';
import { openRuntime, type Feeds, type Runtime, type RuntimeOutput } from '../measure/session.ts';

export interface CheckInput {
  readonly dataset: Dataset | null;
  readonly transform: Transform;
  /** The step that made the file, for the error. */
  readonly technique: string;
  /** The model that the step was given; absent: its outputs are known to be finite. */
  readonly before?: Model;
}

const SAMPLES = 8;

/**
 * @throws LatheError `internal` where onnxruntime refuses the file or an output is not finite: the step, not the user, is at fault;
 * `malformed-model` where the same output was not finite before the step either.
 */
export async function checkRuns(bytes: Uint8Array, input: CheckInput): Promise<void> {
  const name = await notFiniteOutput(bytes, input);
  if (name === null) return;
  const { before } = input;
  if (!before || await notFiniteOutput(writeOnnx(before), input) === null) throw new LatheError('internal', `Output "${name}" of the model that ${input.technique} made is not finite`);
  const why = nanWarnings(weights(before.graph))[0]?.message ?? 'what is not finite cannot be compared';
  throw new LatheError('malformed-model', `Output "${name}" is not finite, and was not before ${input.technique}: ${why}`);
}

/** The first output that is not finite; null: all are. */
async function notFiniteOutput(bytes: Uint8Array, { dataset, transform, technique }: CheckInput): Promise<string | null> {
  const runtime = await openRuntime(bytes).catch((error: unknown) => {
    throw new LatheError('internal', `The model that ${technique} made does not open: ${(error as Error).message}`, [], { cause: error });
  });
  try {
    const outputs = await runtime.run(await someInputs(bytes, runtime, dataset, transform));
    return [...outputs].find(([, output]) => !allFinite(output))?.[0] ?? null;
  } finally {
    await runtime.release();
  }
}

async function someInputs(bytes: Uint8Array, runtime: Runtime, dataset: Dataset | null, transform: Transform): Promise<Feeds> {
  const split = dataset && (['test', 'validation', 'train'] as const).map((name) => dataset.split(name)).find(({ length }) => length > 0);
  if (split) for await (const { inputs } of datasetFeeds(sampleOf(split, SAMPLES, 0), runtime.inputs, transform, SAMPLES)) return inputs;
  const random = await randomInputs(readOnnx(bytes), runtime, 0);
  return random.make(0, random.least);
}

function allFinite({ data }: RuntimeOutput): boolean {
  return !(data instanceof Float32Array || data instanceof Float64Array) || data.every((value) => Number.isFinite(value));
}
