import type { ModelFormat } from '../../contracts/model.ts';
import type { ReportWarning } from '../../contracts/report.ts';
import { LatheError } from '../../errors.ts';
import { writeModel, writtenFormat } from '../formats/write-model.ts';
import type { Model } from '../graph/types.ts';
import type { RecipeFile } from './run.ts';

/**
 * The result in the format of the upload, beside the ONNX file that was measured; null where that is ONNX, or a format Lathe only reads.
 * What the format cannot say (integer operators in TF.js) is a warning, not a failure: the ONNX file is there.
 */
export async function inOwnFormat(format: ModelFormat, model: Model, step: number, warn: (warning: ReportWarning) => void): Promise<RecipeFile | null> {
  const own = writtenFormat(format);
  if (own === null || own === 'onnx') return null;
  try {
    return { name: 'model.tfjs.zip', format: own, bytes: await writeModel(model, own), step };
  } catch (error) {
    if (!(error instanceof LatheError) || error.code !== 'unsupported-operator') throw error;
    warn({ code: 'own-format-not-written', message: `The result is there as ONNX only: ${error.message}` });
    return null;
  }
}
