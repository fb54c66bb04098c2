/**
 * The job process: computes one job and ends. Its supervisor sends the task as the first IPC message; events, the
 * result's files or a failure go back. It holds no key and knows no database.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { openDataset } from '../src/compression/data/open.ts';
import { runRecipe, type RecipeInput, type RecipeResult } from '../src/compression/recipe/run.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { isDiskFull, LatheError } from '../src/errors.ts';
import { processEntry } from '../src/process/entry.ts';
import type { JobEvent } from '../src/jobs/ports/events.ts';
import { isMemoryFailure } from '../src/process/memory-failure.ts';
import { fileCheckpoint } from './job-process/checkpoints.ts';
import type { TaskFailure, JobProcessMessage, JobTask, ResultFile } from './job-process/protocol.ts';

const PROGRESS_INTERVAL_MS = 100;

new Worker(processEntry('watchdog').path, { workerData: { parent: process.ppid } }).unref();
const stopping = new AbortController();
process.once('SIGTERM', () => {
  stopping.abort(new Error('the job process was told to stop'));
  // What does not listen to the signal is cut off: finished epochs are in the checkpoints.
  setTimeout(() => process.exit(143), 200);
});
process.once('disconnect', () => process.exit(143));
process.once('message', (task) => void main(task as JobTask));

async function main(task: JobTask): Promise<void> {
  try {
    const result = await compute(task);
    await send({
      type: 'result',
      report: result.report,
      recommended: result.recommended,
      files: await writeFiles(task.outputFolder, result),
    });
  } catch (error) {
    if (stopping.signal.aborted) process.exit(143);
    console.error(error);
    await send({ type: 'failed', failure: failureOf(error) });
  }
  process.exit(0);
}

async function compute(task: JobTask): Promise<RecipeResult> {
  await startEngine(task.engine, { threads: task.threads });
  const dataset = task.dataset ? await openDataset(task.dataset.path, task.dataset.options) : null;
  const others = new Map(task.otherModels.map((model) => [model.id, model]));
  const input: RecipeInput = {
    modelBytes: await readFile(task.model.path),
    request: task.request,
    model: task.model.description,
    dataset,
    ...(task.dataset && { datasetSource: { sha256: task.dataset.sha256, options: task.dataset.options } }),
    others: new Map([...others].map(([id, { description }]) => [id, description])),
    loadModelBytes: (id) => readFile(pathOf(others, id)),
    checkpoints: (step) => fileCheckpoint(task.checkpointFolder, `step-${step}`),
    signal: stopping.signal,
    report: throttleProgress((event) => void send({ type: 'event', event })),
    threads: task.threads,
    latencyMs: task.latencyMs,
    provenance: {
      job: task.jobId,
      modelName: task.model.name,
      datasetSha256: task.dataset?.sha256 ?? null,
      datasetOptions: task.dataset?.options ?? null,
    },
  };
  try {
    return await runRecipe(input);
  } finally {
    await dataset?.close();
  }
}

function pathOf(models: ReadonlyMap<string, { readonly path: string }>, id: string): string {
  const model = models.get(id);
  if (!model) throw new LatheError('not-found', `There is no model ${id}`);
  return model.path;
}

/** Limits progress events to ten a second. */
function throttleProgress(emit: (event: JobEvent) => void): (event: JobEvent) => void {
  let sentAt = 0;
  return (event) => {
    const now = performance.now();
    if (event.type === 'progress' && now - sentAt < PROGRESS_INTERVAL_MS) return;
    if (event.type === 'progress') sentAt = now;
    emit(event);
  };
}

function writeFiles(folder: string, { files }: RecipeResult): Promise<ResultFile[]> {
  return Promise.all(
    files.map(async ({ name, format, bytes, step }, index) => {
      const path = join(folder, `${index}-${basename(name)}`);
      await writeFile(path, bytes);
      return { name, format, path, step };
    }),
  );
}

function failureOf(error: unknown): TaskFailure {
  if (error instanceof LatheError) return { code: error.code, message: error.message, errors: error.errors };
  const message = error instanceof Error ? error.message : String(error);
  if (isDiskFull(error)) return { code: 'unavailable', message: `The worker's disk is full: ${message}`, errors: [] };
  return { code: isMemoryFailure(message) ? 'out-of-memory' : 'internal', message, errors: [] };
}

function send(message: JobProcessMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, () => resolve());
    else resolve();
  });
}
