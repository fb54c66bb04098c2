/**
 * The result in the upload's own format with its normalizations folded, offered only if it computes the same as before.
 */
import type { ModelFormat } from '../../contracts/model.ts';
import { LatheError } from '../../errors.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { readModel } from '../formats/read-model.ts';
import { writeOwnFormat, type WeightStorage, type WrittenModel } from '../formats/write-model.ts';
import type { Model } from '../ir/types.ts';
import { randomInputs } from '../measure/random-inputs.ts';
import { withRuntime, type RuntimeOutput } from '../measure/session.ts';
import type { FloatModel } from './float-model.ts';

/** Relative to an output's largest value. Folding changes only where float32 rounds. */
const TOLERANCE = 1e-5;
/** Batches of random inputs that are compared. */
const BATCHES = 3;

export interface FoldedFileOptions {
  readonly float: FloatModel;
  readonly storage: WeightStorage;
  /** Called with the reason where there is something to fold but the file is not offered. */
  decline(reason: string): void;
}

/** @returns null if there is nothing to fold or the file was declined */
export async function foldedFile(
  upload: Uint8Array,
  format: ModelFormat,
  { float: { model, kept }, storage, decline }: FoldedFileOptions,
): Promise<WrittenModel | null> {
  try {
    const exact = await writeOwnFormat(upload, format, model, { storage: 'float32', kept, fold: true });
    if (!exact || exact.folded.length === 0) return null;
    const difference = await largestDifference(model, (await readModel(exact.bytes)).model);
    const asWanted = storage === 'float32' || (storage === 'own' && format.startsWith('keras')); // whose own are floats
    if (difference <= TOLERANCE)
      return asWanted ? exact : await writeOwnFormat(upload, format, model, { storage, kept, fold: true });
    decline(`outputs differ by ${difference.toExponential(1)} of their size`);
  } catch (error) {
    if (!(error instanceof LatheError)) throw error;
    decline(error.message);
  }
  return null;
}

/**
 * On the same random inputs in onnxruntime, relative to the largest value of each output; Infinity where the outputs'
 * names or shapes differ.
 */
export async function largestDifference(model: Model, other: Model): Promise<number> {
  return withRuntime(writeOnnx(model), (runtime) =>
    withRuntime(writeOnnx(other), async (otherRuntime) => {
      const random = await randomInputs(model, runtime, 0);
      let worst = 0;
      for (let index = 0; index < BATCHES; index++) {
        const feeds = random.make(index, random.minSamples);
        const [expected, actual] = [await runtime.run(feeds), await otherRuntime.run(feeds)];
        for (const [name, output] of expected) worst = Math.max(worst, differenceOf(output, actual.get(name)));
      }
      return worst;
    }),
  );
}

function differenceOf({ dims, data }: RuntimeOutput, other: RuntimeOutput | undefined): number {
  if (other?.dims.join() !== dims.join()) return Infinity;
  let [largest, worst] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    const [expected, actual] = [data[i] ?? NaN, other.data[i] ?? NaN];
    largest = Math.max(largest, Math.abs(expected));
    if (!Object.is(expected, actual)) worst = Math.max(worst, Math.abs(expected - actual));
  }
  if (worst === 0) return 0;
  return Number.isFinite(worst / largest) ? worst / largest : Infinity;
}
