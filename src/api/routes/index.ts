/** Every route, by resource. */
import pLimit from 'p-limit';
import type { UploadDeps } from '../../jobs/upload.ts';
import type { ApiDeps, App } from '../types.ts';
import { addUploadParsers } from '../upload-body.ts';
import { getArtifact } from './artifacts/get-artifact.ts';
import { getContent } from './artifacts/get-content.ts';
import { listArtifacts } from './artifacts/list-artifacts.ts';
import { createDataset } from './datasets/create-dataset.ts';
import { deleteDataset } from './datasets/delete-dataset.ts';
import { getDataset } from './datasets/get-dataset.ts';
import { listDatasets } from './datasets/list-datasets.ts';
import { cancelJob } from './jobs/cancel-job.ts';
import { createJob } from './jobs/create-job.ts';
import { followEvents } from './jobs/follow-events.ts';
import { getJob } from './jobs/get-job.ts';
import { getReport } from './jobs/get-report.ts';
import { listJobs } from './jobs/list-jobs.ts';
import { listMetrics } from './jobs/list-metrics.ts';
import { createKey, deleteKey, listKeys } from './keys/manage-keys.ts';
import { createModel } from './models/create-model.ts';
import { deleteModel } from './models/delete-model.ts';
import { getModel } from './models/get-model.ts';
import { listModels } from './models/list-models.ts';
import { listTechniques } from './techniques/list-techniques.ts';
import { listWorkers } from './workers/list-workers.ts';

const ROUTES = [
  listModels,
  getModel,
  deleteModel,
  listDatasets,
  getDataset,
  deleteDataset,
  createJob,
  listJobs,
  getJob,
  cancelJob,
  followEvents,
  getReport,
  listMetrics,
  listArtifacts,
  getArtifact,
  getContent,
  listTechniques,
  listWorkers,
  createKey,
  listKeys,
  deleteKey,
] as const;

/** Everything under /v1; `app` asks for keys already. */
export async function addRoutes(app: App, deps: ApiDeps): Promise<void> {
  for (const add of ROUTES) add(app, deps);
  const { store, blobs, blobReferences, inspector, limits, tenantLimits } = deps;
  const uploads: UploadDeps = {
    ...store,
    blobs,
    blobReferences,
    inspector,
    tenantLimits,
    uploads: pLimit(limits.uploadsAtOnce),
    inspections: pLimit(limits.inspectionsAtOnce),
  };
  await app.register(async (scope) => {
    await addUploadParsers(scope);
    createModel(scope, uploads);
    createDataset(scope, uploads);
  });
}
