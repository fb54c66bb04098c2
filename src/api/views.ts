/** Stored records as the API answers them. */
import type { Artifact, Dataset, Job, Model } from '../contracts/api.ts';
import type { ERROR_CLASSES } from '../contracts/api.ts';
import type { ErrorCode } from '../errors.ts';
import type {
  StoredArtifact,
  StoredDataset,
  StoredJob,
  StoredKey,
  StoredModel,
  StoredStep,
} from '../jobs/ports/api-side.ts';

/** Who can fix it. */
const CLASSES: Record<ErrorCode, (typeof ERROR_CLASSES)[number]> = {
  unauthorized: 'request',
  forbidden: 'request',
  'not-found': 'request',
  'invalid-request': 'request',
  conflict: 'request',
  'idempotency-mismatch': 'request',
  'method-not-allowed': 'request',
  'not-acceptable': 'request',
  'unsupported-media-type': 'request',
  'range-not-satisfiable': 'request',
  'dataset-required': 'request',
  'unsupported-format': 'input',
  'malformed-model': 'input',
  'malformed-dataset': 'input',
  'unsupported-operator': 'input',
  'model-not-trainable': 'input',
  'shape-mismatch': 'input',
  'too-large': 'limit',
  'quota-exceeded': 'limit',
  'rate-limited': 'limit',
  'out-of-memory': 'limit',
  'deadline-exceeded': 'limit',
  diverged: 'training',
  'worker-lost': 'service',
  unavailable: 'service',
  internal: 'service',
};

export function modelView({ id, name, sha256, sizeBytes, description, createdAt }: StoredModel): Model {
  const { format, ...rest } = description;
  return { id, name, format, sha256, sizeBytes, ...rest, createdAt: createdAt.toISOString() };
}

export function datasetView({ id, name, sha256, sizeBytes, description, options, createdAt }: StoredDataset): Dataset {
  const { format, ...rest } = description;
  return { id, name, format, sha256, sizeBytes, ...rest, options, createdAt: createdAt.toISOString() };
}

export function artifactView({
  id,
  name,
  format,
  sizeBytes,
  sha256,
  jobId,
  modelId,
  step,
  createdAt,
}: StoredArtifact): Artifact {
  return { id, name, format, sizeBytes, sha256, job: jobId, model: modelId, step, createdAt: createdAt.toISOString() };
}

export function jobView(job: StoredJob): Job {
  const { id, name, labels, state, modelId, datasetId, request, attempt, progress, recommendedId, report, error } = job;
  return {
    id,
    name,
    labels: { ...labels },
    state,
    model: modelId,
    dataset: datasetId,
    device: request.device ?? 'auto',
    seed: request.seed ?? 0,
    steps: job.steps.map(stepView),
    progress,
    attempt,
    artifacts: job.artifacts.map(artifactView),
    recommended: recommendedId,
    report,
    error: error && { ...error, class: CLASSES[error.code] },
    request,
    createdAt: job.createdAt.toISOString(),
    startedAt: time(job.startedAt),
    endedAt: time(job.endedAt),
  };
}

export function keyView({ createdAt, lastUsedAt, ...key }: StoredKey) {
  return { ...key, createdAt: createdAt.toISOString(), lastUsedAt: time(lastUsedAt) };
}

function stepView({
  technique,
  state,
  progress,
  metrics,
  warnings,
  startedAt,
  endedAt,
}: StoredStep): Job['steps'][number] {
  return {
    technique,
    state,
    progress,
    metrics: { ...metrics },
    warnings: [...warnings],
    startedAt: time(startedAt),
    endedAt: time(endedAt),
  };
}

function time(date: Date | null): string | null {
  return date && date.toISOString();
}
