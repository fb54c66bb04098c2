/**
 * A replica: trains one step of a recipe together with the job process that started it, and ends. It keeps nothing; the
 * job process has the same result.
 */
import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { AsyncWorker } from '../../src/compression/collective/async-place.ts';
import { connectionOver } from '../../src/compression/collective/connection.ts';
import { HostMember } from '../../src/compression/collective/host-member.ts';
import { Replica } from '../../src/compression/collective/replica.ts';
import { readModel } from '../../src/compression/formats/read-model.ts';
import { asyncSettings } from '../../src/compression/recipe/async-settings.ts';
import { applyAsReplica, applyAsWorker, type ReplicaSetting } from '../../src/compression/recipe/replica-step.ts';
import { withTargetKind } from '../../src/compression/data/target-kind.ts';
import { sha256 } from '../../src/compression/recipe/sha256.ts';
import { decodeState } from '../../src/compression/recipe/step-records.ts';
import { validateRecipe } from '../../src/compression/recipe/validate.ts';
import type { ModelState } from '../../src/compression/step/model-state.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { joinSharedGroup } from '../../src/compression/tensor/shared-group.ts';
import { processEntry } from '../../src/process/entry.ts';
import { failureOf } from '../job-process/failure.ts';
import { openInputs } from '../job-process/inputs.ts';
import { STREAM_FD, type ReplicaMessage, type ReplicaTask } from './protocol.ts';

new Worker(processEntry('watchdog').path, { workerData: { parent: process.ppid } }).unref();
process.once('SIGTERM', () => process.exit(143));
process.once('disconnect', () => process.exit(143));
process.once('message', (task) => void main(task as ReplicaTask));

async function main(task: ReplicaTask): Promise<void> {
  try {
    await takePart(task);
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.send?.({ type: 'failed', failure: failureOf(error) } satisfies ReplicaMessage, () => process.exit(1));
  }
}

async function takePart(given: ReplicaTask): Promise<void> {
  const { task, rank, size, step, statePath, threads, sharedMemory } = given;
  const stream = new Socket({ fd: STREAM_FD, readable: true, writable: true });
  await startEngine(task.engine, { threads });
  const inputs = await openInputs(task);
  const { model } = await readModel(inputs.modelBytes);
  const { dataset } = inputs;
  const setting = {
    ...inputs,
    dataset: dataset && withTargetKind(task.request.target, dataset, task.model.description),
    request: validateRecipe(task.request, task.model.description, dataset?.description ?? null, inputs.others),
    original: { model, sha256: sha256(inputs.modelBytes) },
    signal: new AbortController().signal,
  };
  const state = decodeState(await readFile(statePath));
  if (task.request.parallel?.mode === 'async') return asWorker(given, setting, state, stream);
  const { syncBatchNorm = true } = task.request.parallel ?? {};
  const group = sharedMemory === null ? null : joinSharedGroup({ path: sharedMemory, rank, size });
  return applyAsReplica(
    setting,
    step,
    state,
    new Replica(new HostMember(stream, rank, size), { syncBatchNorm, group }),
  );
}

async function asWorker(
  { task, step, checkpointPath }: ReplicaTask,
  setting: ReplicaSetting,
  state: ModelState,
  stream: Socket,
): Promise<void> {
  const worker = new AsyncWorker(connectionOver(stream, 'server'), asyncSettings(task.request.parallel));
  const checkpoint = checkpointPath ? await readFile(checkpointPath) : null;
  await applyAsWorker(setting, step, state, { worker, checkpoint });
}
