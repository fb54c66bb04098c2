/**
 * The job process's side of its replicas: starts them in its own process group, so that what ends the group ends them,
 * each with a stream that their exchange runs on, and tells the exchange when one is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { AsyncServer } from '../../src/compression/collective/async-place.ts';
import { connectionOver } from '../../src/compression/collective/connection.ts';
import { HostLeader, type LossRule } from '../../src/compression/collective/host-leader.ts';
import { Replica } from '../../src/compression/collective/replica.ts';
import type { WorkerProcesses } from '../../src/compression/recipe/apply-asynchronously.ts';
import { asyncSettings } from '../../src/compression/recipe/async-settings.ts';
import type { ReplicaGroup, ReplicaProcesses } from '../../src/compression/recipe/apply-together.ts';
import { encodeState } from '../../src/compression/recipe/step-records.ts';
import { hasOwnKernels } from '../../src/compression/tensor/native/raw-op.ts';
import { joinSharedGroup } from '../../src/compression/tensor/shared-group.ts';
import { LatheError } from '../../src/errors.ts';
import { processEntry } from '../../src/process/entry.ts';
import { tailOf } from '../../src/process/output-tail.ts';
import { stderrSummary } from '../../src/process/stderr-summary.ts';
import type { JobTask } from '../job-process/protocol.ts';
import { threadsOfReplica } from './count.ts';
import { STREAM_FD, type ReplicaMessage, type ReplicaTask } from './protocol.ts';

const STDERR_TAIL_CHARACTERS = 8192;

export interface ReplicaSettings {
  /** `stream`: tensors never travel in shared memory. Default: where the engine can. */
  readonly transport?: 'stream';
}

/** @param onProcesses is told which processes live, when they have started and when they have ended */
export function replicaProcesses(
  task: JobTask,
  size: number,
  onProcesses: (pids: readonly number[]) => void,
  { transport }: ReplicaSettings = {},
): ReplicaProcesses {
  const { syncBatchNorm = true } = task.request.parallel ?? {};
  return {
    start: async (step, state) => {
      const statePath = join(task.outputFolder, `replicas-step-${step}.bin`);
      await writeFile(statePath, encodeState(state));
      const sharedMemory = transport === 'stream' || !hasOwnKernels() ? null : sharedMemoryPath(task);
      const shared = { task, size, step, statePath, threads: threadsOfReplica(task, size), sharedMemory };
      const tensors = sharedMemory === null ? null : joinSharedGroup({ path: sharedMemory, rank: 0, size });
      const group = startGroup(shared, 'fail');
      onProcesses(group.pids);
      return {
        replica: new Replica(group.leader, { syncBatchNorm, group: tensors }),
        close: async () => {
          tensors?.close();
          await group.end();
          onProcesses([]);
          await rm(statePath, { force: true });
        },
      } satisfies ReplicaGroup;
    },
  };
}

const SHARED_MEMORY_FOLDER = '/dev/shm';
let groups = 0;

/** In memory where the system has such a folder. */
function sharedMemoryPath({ outputFolder }: JobTask): string {
  const folder = existsSync(SHARED_MEMORY_FOLDER) ? SHARED_MEMORY_FOLDER : outputFolder;
  return join(folder, `lathe-${process.pid}-${groups++}`);
}

interface RunningGroup {
  readonly leader: HostLeader;
  readonly pids: readonly number[];
  end(): Promise<void>;
}

function startGroup(shared: Omit<ReplicaTask, 'rank'>, onLoss: LossRule): RunningGroup {
  const children = Array.from({ length: shared.size - 1 }, (_, i) => startReplica({ ...shared, rank: i + 1 }));
  const leader = new HostLeader(
    children.map(({ stdio }) => stdio[STREAM_FD] as Duplex),
    onLoss,
  );
  const ends = children.map((child, i) => watch(child, i + 1, leader));
  return {
    leader,
    pids: children.flatMap(({ pid }) => pid ?? []),
    end: async () => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(ends);
    },
  };
}

/** Workers of an asynchronous training: each computes for the server in this process, which trains nothing itself. */
export function workerProcesses(
  task: JobTask,
  size: number,
  onProcesses: (pids: readonly number[]) => void,
): WorkerProcesses {
  return {
    start: async (step, state, checkpoint, onLoss) => {
      const statePath = join(task.outputFolder, `workers-step-${step}.bin`);
      const checkpointPath = checkpoint ? join(task.outputFolder, `workers-checkpoint-${step}.bin`) : null;
      await writeFile(statePath, encodeState(state));
      if (checkpointPath && checkpoint) await writeFile(checkpointPath, checkpoint);
      const server = new AsyncServer(asyncSettings(task.request.parallel));
      const threads = threadsOfReplica(task, size);
      const shared = { task, size, step, statePath, checkpointPath, threads, sharedMemory: null };
      const children = Array.from({ length: size }, (_, i) => startReplica({ ...shared, rank: i + 1 }));
      let closing = false;
      const ends = children.map((child, i) => {
        const connection = connectionOver(child.stdio[STREAM_FD] as Duplex, `worker ${i + 1}`);
        server.accept(connection);
        return watch(child, i + 1, {
          abort: (error) => server.abort(error),
          lose: (rank, detail) => {
            if (!closing) onLoss(`Replica ${rank} is gone: ${detail}`);
            server.lose(connection);
          },
        });
      });
      onProcesses(children.flatMap(({ pid }) => pid ?? []));
      return {
        server,
        close: async () => {
          closing = true;
          for (const child of children) child.kill('SIGKILL');
          await Promise.all(ends);
          onProcesses([]);
          const written = [statePath, checkpointPath].filter((path) => path !== null);
          await Promise.all(written.map((path) => rm(path, { force: true })));
        },
      };
    },
  };
}

function startReplica(task: ReplicaTask): ChildProcess {
  const { path, flags } = processEntry('replica');
  const heap = process.execArgv.filter((flag) => flag.startsWith('--max-old-space-size='));
  const child = spawn(process.execPath, [...flags, ...heap, path], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
    env: { ...process.env, OMP_NUM_THREADS: String(task.threads) },
  });
  child.send(task, () => undefined);
  return child;
}

/** Resolves when the replica has ended; the exchange learns of it. */
function watch(child: ChildProcess, rank: number, leader: Pick<HostLeader, 'abort' | 'lose'>): Promise<void> {
  const stderr = tailOf(child.stderr as Readable, STDERR_TAIL_CHARACTERS);
  child.on('message', (message) => {
    const { failure } = message as ReplicaMessage;
    leader.abort(new LatheError(failure.code, `Replica ${rank}: ${failure.message}`, failure.errors));
  });
  return new Promise((resolve) => {
    const ended = (detail: string) => {
      leader.lose(rank, [detail, stderrSummary(stderr())].filter(Boolean).join(': '));
      resolve();
    };
    child.once('error', (error) => ended(error.message));
    child.once('close', (code, signal) => {
      const tell = () => ended(signal ? `signal ${signal}` : `exit code ${code}`);
      if (child.connected)
        child.once('disconnect', tell); // a message may still lie in the channel
      else tell();
    });
  });
}
