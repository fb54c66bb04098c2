/**
 * Files beside the ONNX one: the result in the upload's own format and in the formats that the job asks for. They hold
 * the last float model; a quantizing step's codes go into the format's own storage of weights, where it has one. Each
 * file is read back and compared before it is offered.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { JobRequest, Step } from '../../contracts/job-request.ts';
import type { ModelFormat } from '../../contracts/model.ts';
import type { ExportedFile, Measures, ReportWarning } from '../../contracts/report.ts';
import { isUnsupportedOperator, LatheError } from '../../errors.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { readModel } from '../formats/read-model.ts';
import { writeGraphModel, writeOwnFormat, type WrittenModel } from '../formats/write-model.ts';
import { withoutCodebooks } from '../graph/codebooks.ts';
import type { ModelState } from '../step/model-state.ts';
import { specOf } from '../techniques/registry.ts';
import type { FloatModel } from './float-model.ts';
import { foldedFile } from './folded-file.ts';

export interface StepStates {
  readonly index: number;
  readonly before: ModelState;
  readonly after: ModelState;
}

/**
 * The float model after a step, with clustered weights expanded to floats. Steps after a quantizing one work on its
 * codes, which other formats cannot hold.
 */
export function followStep(
  known: FloatModel,
  { technique, ...parameters }: Step,
  { index: step, before, after }: StepStates,
): FloatModel {
  if (before.quantized) return known;
  const spec = specOf(technique);
  if (!spec?.storage)
    return after.model === before.model
      ? known
      : { model: withoutCodebooks(after.model), step, storage: 'own', kept: after.kept, folded: false, changed: true };
  if (!after.quantized) return known;
  const storage = spec.storage(parameters) ?? known.storage;
  return { ...known, step, storage, folded: normalizations(after) < normalizations(before) };
}

const normalizations = ({ model }: ModelState): number =>
  model.graph.nodes.filter(({ opType, domain }) => opType === 'BatchNormalization' && domain === '').length;

export interface Exported extends WrittenModel {
  /** The file read back as ONNX, for measuring. */
  readonly readBack: Uint8Array;
}

type Warn = (warning: ReportWarning) => void;

export interface ExportInput {
  /** The file that the job began with. */
  readonly upload: { readonly bytes: Uint8Array; readonly format: ModelFormat };
  readonly float: FloatModel;
  /** What the job asks for beside the upload's own format. */
  readonly exports: NonNullable<JobRequest['export']>;
  warn: Warn;
}

/** A model that the format cannot hold gives a warning, not an error: the ONNX file exists. */
export async function exportModels(input: ExportInput): Promise<Exported[]> {
  const { float, warn } = input;
  const written = [await attempt(() => ownFile(input), warn)];
  for (const { weights = float.storage === 'own' ? 'float32' : float.storage } of input.exports)
    written.push(await attempt(() => writeGraphModel(float.model, weights), warn));
  const files = distinct(written.filter((file) => file !== null));
  const read = await Promise.all(
    files.map((file) => attempt(async () => ({ ...file, readBack: await readBack(file) }), warn)),
  );
  return read.filter((file) => file !== null);
}

export async function exportReport(
  { name, format, storage, bytes }: Exported,
  { accuracy, fidelity }: Measures,
): Promise<ExportedFile> {
  return {
    name,
    format,
    weights: storage,
    sizeBytes: bytes.length,
    gzipBytes: (await promisify(gzip)(bytes, { level: 9 })).length,
    accuracy,
    fidelity,
  };
}

/**
 * Keras has no integer weights. The file holds the floats behind the ONNX file's integers, if they differ from the
 * uploaded model: a step has changed them, or quantizing folded normalizations.
 */
async function ownFile({ upload: { bytes, format }, float, warn }: ExportInput): Promise<WrittenModel | null> {
  const inFloats = format.startsWith('keras') && float.storage === 'uint8';
  const storage = inFloats ? 'own' : float.storage;
  const declined = (reason: string) =>
    warn({
      code: 'own-format-not-folded',
      message: `The file in the uploaded format keeps its normalizations as separate layers: ${reason}`,
      step: float.step,
    });
  const folded = float.folded ? await foldedFile(bytes, format, { float, storage, decline: declined }) : null;
  if (!inFloats || (!folded && !float.changed))
    return folded ?? writeOwnFormat(bytes, format, float.model, { storage: float.storage, kept: float.kept });
  warn({
    code: 'own-format-not-quantized',
    message: 'Keras files hold float weights only: the Keras file is the model before quantization',
    step: float.step,
  });
  return folded ?? writeOwnFormat(bytes, format, float.model, { storage, kept: float.kept });
}

/** @throws LatheError `unsupported-operator` where the file cannot be read back; it is then not offered */
async function readBack({ name, bytes }: WrittenModel): Promise<Uint8Array> {
  try {
    return writeOnnx((await readModel(bytes)).model);
  } catch (error) {
    if (error instanceof LatheError)
      throw new LatheError('unsupported-operator', `${name}: ${error.message}`, error.errors, { cause: error });
    throw error;
  }
}

async function attempt<T>(write: () => Promise<T | null>, warn: Warn): Promise<T | null> {
  try {
    return await write();
  } catch (error) {
    if (!isUnsupportedOperator(error)) throw error;
    warn({ code: 'export-not-written', message: `The result is available as ONNX only: ${error.message}` });
    return null;
  }
}

/** Makes names distinct; a file asked for that is written anyway is written once. */
function distinct(files: readonly WrittenModel[]): WrittenModel[] {
  const kept = files.filter(
    (file, i) => files.findIndex(({ format, storage }) => format === file.format && storage === file.storage) === i,
  );
  return kept.map((file, i) =>
    kept.findIndex(({ name }) => name === file.name) === i
      ? file
      : { ...file, name: file.name.replace('model.', `model-${file.storage}.`) },
  );
}
