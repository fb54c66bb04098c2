/**
 * The job process: computes one job and ends. Its supervisor sends the task as the first IPC message; events, the
 * result's files or a failure go back. It holds no key and knows no database.
 */
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { runRecipe, type RecipeInput, type RecipeResult } from '../src/compression/recipe/run.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { processEntry } from '../src/process/entry.ts';
import type { JobEvent } from '../src/jobs/ports/events.ts';
import { fileCheckpoint } from './job-process/checkpoints.ts';
import { failureOf } from './job-process/failure.ts';
import { openInputs } from './job-process/inputs.ts';
import type { JobProcessMessage, JobTask, ResultFile } from './job-process/protocol.ts';
import { replicaCount, threadsOfReplica } from './replicas/count.ts';
import { replicaProcesses, workerProcesses } from './replicas/start.ts';

const PROGRESS_INTERVAL_MS = 100;

new Worker(processEntry('watchdog').path, { workerData: { parent: process.ppid } }).unref();
const stopping = new AbortController();
process.once('SIGTERM', () => {
  stopping.abort(new Error('the job process was told to stop'));
  // Whatever ignores the signal is killed; finished epochs are in the checkpoints.
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
  const replicas = replicaCount(task);
  await startEngine(task.engine, { threads: threadsOfReplica(task, replicas) });
  const inputs = await openInputs(task);
  const input: RecipeInput = {
    ...inputs,
    request: task.request,
    model: task.model.description,
    ...(task.dataset && { datasetSource: { sha256: task.dataset.sha256, options: task.dataset.options } }),
    ...processesOf(task, replicas),
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
    await inputs.dataset?.close();
  }
}

/** The processes that train with this one, or for it. */
function processesOf(task: JobTask, replicas: number): Pick<RecipeInput, 'replicas' | 'workers'> {
  const tell = (pids: readonly number[]) => void send({ type: 'replicas', pids });
  if (task.request.parallel?.mode === 'async') return { workers: workerProcesses(task, replicas, tell) };
  return replicas > 1 ? { replicas: replicaProcesses(task, replicas, tell) } : {};
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

function send(message: JobProcessMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, () => resolve());
    else resolve();
  });
}
