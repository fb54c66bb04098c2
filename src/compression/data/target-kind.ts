/** Whether a dataset's whole numbers are classes or values, for one model. */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { TargetRequest } from '../../contracts/job-request.ts';
import type { ModelDescription } from '../../contracts/model.ts';
import type { ErrorDetail } from '../../errors.ts';
import type { Dataset, RawSamples, Split } from './dataset.ts';
import { predictionOutput } from './match.ts';

type Target = DatasetDescription['target'];

/** What is wrong with the kind that is asked for; empty where the data can be read so. */
export function targetKindProblems(asked: TargetRequest | undefined, target: Target): ErrorDetail[] {
  const kind = asked?.kind ?? 'auto';
  const problem = (message: string): ErrorDetail[] => [{ path: '/target/kind', message }];
  if (kind === 'auto' || kind === target.kind) return [];
  if (target.kind === 'none') return problem(`the dataset has no target that could be ${kind}`);
  if (kind === 'classes')
    return problem(
      'the target holds values; for classes upload whole numbers from 0, texts, or one-hot rows (csv: targetKind=classes)',
    );
  return target.names ? problem('the target holds names of classes, which are no values') : [];
}

/**
 * Classes are taken for values where the job says so; by default where more than two whole numbers meet an output of
 * one float for each sample, which gives no scores for them.
 */
export function readsAsValues(asked: TargetRequest | undefined, target: Target, model: ModelDescription): boolean {
  if (target.kind !== 'classes' || target.names) return false;
  if (asked && asked.kind !== 'auto') return asked.kind === 'values';
  const output = predictionOutput(model.outputs);
  const scores = output?.shape.slice(1).filter((size) => size !== 1) ?? [];
  return output?.dtype.includes('float') === true && scores.length === 0 && (target.classes ?? 0) > 2;
}

/** The description of the dataset with its class numbers as values. */
export function describedAsValues(description: DatasetDescription): DatasetDescription {
  return { ...description, target: { kind: 'values', classes: null, shape: [] } };
}

/** The dataset with its target as the job, or the model's output, asks for it. */
export function withTargetKind(asked: TargetRequest | undefined, dataset: Dataset, model: ModelDescription): Dataset {
  return readsAsValues(asked, dataset.description.target, model) ? datasetAsValues(dataset) : dataset;
}

/** The dataset with its class numbers as values: float32 [n]. */
export function datasetAsValues(dataset: Dataset): Dataset {
  return {
    description: describedAsValues(dataset.description),
    split: (name) => splitAsValues(dataset.split(name)),
    close: () => dataset.close(),
  };
}

function splitAsValues(split: Split): Split {
  return { length: split.length, read: async (...args) => samplesAsValues(await split.read(...args)) };
}

function samplesAsValues(samples: RawSamples): RawSamples {
  const { target } = samples;
  return {
    ...samples,
    target: target && { ...target, dtype: 'float32', data: Float32Array.from(target.data, Number) },
  };
}
