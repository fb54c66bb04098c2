/** One hash over everything that determines a step's result: equal keys mean equal results. */
import { stringify } from 'safe-stable-stringify';
import type { JobRequest, Step } from '../../contracts/job-request.ts';
import type { ModelState } from '../step/model-state.ts';
import type { TechniqueSpec } from '../techniques/technique.ts';
import { sha256 } from './sha256.ts';
import type { RecipeInput } from './types.ts';
import { modelsNamedBy } from './validate.ts';

/** A state with the hash of its model's ONNX file. */
export interface HashedState {
  readonly state: ModelState;
  readonly sha256: string;
}

export interface StepInputs extends Pick<RecipeInput, 'dataset' | 'datasetSource' | 'loadModelBytes'> {
  readonly spec: TechniqueSpec;
  /** With its defaults filled in. */
  readonly step: Step;
  readonly request: Pick<JobRequest, 'seed' | 'training' | 'loader' | 'transform' | 'parallel'>;
  readonly before: HashedState;
  /** Of the model as it was uploaded, as ONNX. */
  readonly originalSha256: string;
}

/** Hexadecimal SHA-256. Includes the bytes of other models that the step names. */
export async function stepKey(inputs: StepInputs): Promise<string> {
  const { spec, step, request, before, originalSha256, dataset, datasetSource = null } = inputs;
  const { frozenZeros, kept, quantized } = before.state;
  const { technique, ...parameters } = step;
  const others = await Promise.all(modelsNamedBy([step]).map(async (id) => sha256(await inputs.loadModelBytes(id))));
  const counted = {
    technique: { name: technique, version: spec.version, parameters },
    before: { model: before.sha256, frozenZeros: [...frozenZeros].sort(), kept: Object.fromEntries(kept), quantized },
    original: spec.usesOriginal?.(parameters) === false ? null : originalSha256,
    others,
    dataset: dataset && { description: dataset.description, source: datasetSource },
    seed: request.seed ?? 0,
    training: request.training ?? {},
    loader: request.loader ?? {},
    transform: request.transform ?? {},
    // Replicas train what one process does, but for these statistics.
    ...(request.parallel?.syncBatchNorm === false && { syncBatchNorm: false }),
    // Workers that wait for nobody end elsewhere each time.
    ...(request.parallel?.mode === 'async' && { asynchronous: request.parallel }),
  };
  return sha256(stringify(counted));
}
