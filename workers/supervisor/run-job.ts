/**
 * One claimed job from start to end. The supervisor only watches while a job process computes. Whatever happens, the
 * job ends once, under this claim's fencing number, or goes back to the queue.
 */
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_RUN_SECONDS } from '../../src/contracts/job-request.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import type { BlobStore } from '../../src/jobs/ports/blobs.ts';
import type { JobEvent } from '../../src/jobs/ports/events.ts';
import type {
  Claim,
  JobFailure,
  JobOutcome,
  ProducedArtifact,
  WorkerJobStore,
} from '../../src/jobs/ports/worker-side.ts';
import type { JobProcessMessage, JobTask } from '../job-process/protocol.ts';
import { startJobProcess, type JobProcess, type JobProcessExit } from './job-process.ts';
import { EventRecorder } from './event-recorder.ts';
import { Lease, type LeaseEnd } from './lease.ts';
import type { AttemptFolders, Scratch } from './scratch.ts';

export interface RunJobDeps {
  readonly jobs: WorkerJobStore;
  readonly blobs: BlobStore;
  readonly scratch: Scratch;
  readonly settings: RunJobSettings;
  log(message: string, fields?: Record<string, unknown>): void;
}

export interface RunJobSettings {
  readonly engine: JobTask['engine'];
  readonly threads: number;
  readonly memoryBytes: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** A job process that is silent for this long counts as hung. */
  readonly stallMs: number;
  /** Longest time for measuring the latency of one file. */
  readonly latencyMs: number;
  /** SIGKILL follows SIGTERM after this. */
  readonly graceMs: number;
  /** Attempts of one job that may end with a dead job process or a dead worker before it fails with `worker-lost`. */
  readonly maxAttempts: number;
  /** Bound on one result file. */
  readonly maxArtifactBytes: number;
  /** GPU workers show the job process their devices; all others hide them. */
  readonly gpu: boolean;
}

/** Why a running job process is stopped from outside. */
type Interruption = LeaseEnd | 'draining' | 'entry-lost' | 'deadline' | 'stalled';
type TaskResult = Extract<JobProcessMessage, { type: 'result' }>;

const POLL_INTERVAL_MS = 250;
/** A job that workers gave back this often before counts each further loss of its queue entry as an attempt. */
const MAX_FREE_RETURNS = 3;

/** Each gives the job back to the queue. */
export interface RunJobSignals {
  /** Aborted when this worker stops. */
  readonly drain: AbortSignal;
  /** Aborted when the lock of the job's queue entry is lost: another worker may take the entry. */
  readonly entryLost: AbortSignal;
}

export async function runJob(claim: Claim, deps: RunJobDeps, signals: RunJobSignals): Promise<void> {
  const run = new JobExecution(claim, deps, signals);
  try {
    await run.run();
  } finally {
    run.close();
  }
}

class JobExecution {
  readonly #claim: Claim;
  readonly #deps: RunJobDeps;
  readonly #signals: RunJobSignals;
  readonly #lease: Lease;
  readonly #events: EventRecorder;

  constructor(claim: Claim, deps: RunJobDeps, signals: RunJobSignals) {
    const { jobs, settings } = deps;
    this.#claim = claim;
    this.#deps = deps;
    this.#signals = signals;
    this.#lease = new Lease(() => jobs.heartbeat(claim.jobId, claim.fence, settings.leaseMs), settings);
    this.#events = new EventRecorder((events) => this.#record(events));
  }

  close(): void {
    this.#lease.stop();
  }

  async run(): Promise<void> {
    const { maxAttempts } = this.#deps.settings;
    const lostBefore = this.#claim.attempt - 1;
    if (lostBefore >= maxAttempts)
      return this.#fail('worker-lost', `The job lost its worker or its queue entry ${lostBefore} times`);
    for (let deaths = 0; ; ) {
      const end = await this.#runProcess(deaths);
      if (end.type === 'interrupted') return this.#afterInterruption(end.why);
      if (end.type === 'result') return this.#succeed(end);
      if (end.type === 'failed') return this.#fail(end.failure.code, withErrorPaths(end.failure));
      if (end.type === 'out-of-memory')
        return this.#fail('out-of-memory', `The job needed more memory than it may use: ${end.detail}`);
      deaths++;
      this.#deps.log('job process died', { job: this.#claim.jobId, detail: end.detail, deaths });
      if (lostBefore + deaths >= maxAttempts)
        return this.#fail('worker-lost', `The job process died ${deaths} times, last with ${end.detail}`);
      this.#events.add({
        type: 'retrying',
        data: { reason: `the job process died (${end.detail})`, attempt: lostBefore + deaths + 1, of: maxAttempts },
      });
      await sleep(Math.min(100 * 2 ** deaths, 5000));
    }
  }

  async #runProcess(attempt: number): Promise<JobProcessExit | { type: 'interrupted'; why: Interruption }> {
    const folders = await this.#deps.scratch.open(this.#claim.jobId, this.#claim.fence, attempt);
    const child = startJobProcess({
      task: await this.#task(folders),
      memoryBytes: this.#deps.settings.memoryBytes,
      temporaryFolder: folders.temporary,
      gpu: this.#deps.settings.gpu,
      onEvent: ({ event }) => this.#events.add(event),
    });
    const why = await this.#watch(child);
    if (why) await child.end(this.#deps.settings.graceMs);
    const end = why ? ({ type: 'interrupted', why } as const) : await child.ended;
    if (end.type !== 'result') await folders.remove();
    return end;
  }

  async #task(folders: AttemptFolders): Promise<JobTask> {
    const { blobs, settings } = this.#deps;
    const { jobId, request, model, dataset, otherModels } = this.#claim;
    const others = [...otherModels].map(async ([id, other]) => ({
      id,
      ...other,
      path: await blobs.localPath(other.sha256),
    }));
    return {
      jobId,
      request,
      model: { ...model, path: await blobs.localPath(model.sha256) },
      dataset: dataset && {
        id: dataset.id,
        sha256: dataset.sha256,
        options: dataset.options,
        path: await blobs.localPath(dataset.sha256),
      },
      otherModels: await Promise.all(others),
      checkpointFolder: folders.checkpoints,
      outputFolder: folders.output,
      engine: settings.engine,
      threads: settings.threads,
      latencyMs: settings.latencyMs,
    };
  }

  /** Waits for the job process's end or for a reason to end it; `null` where it ended by itself. */
  async #watch(child: JobProcess): Promise<Interruption | null> {
    let ended = false;
    void child.ended.then(() => (ended = true));
    while (!ended) {
      const why = this.#interruption(child);
      if (why) return why;
      await Promise.race([child.ended, this.#lease.ended, sleep(POLL_INTERVAL_MS)]);
    }
    return null;
  }

  #interruption(child: JobProcess): Interruption | null {
    if (this.#lease.end) return this.#lease.end;
    if (this.#signals.drain.aborted) return 'draining';
    if (this.#signals.entryLost.aborted) return 'entry-lost';
    if (Date.now() > this.#claim.deadline.getTime()) return 'deadline';
    return Date.now() - child.lastMessageAt() > this.#deps.settings.stallMs ? 'stalled' : null;
  }

  async #afterInterruption(why: Interruption): Promise<void> {
    const { jobs, scratch, settings, log } = this.#deps;
    const { jobId, fence, request } = this.#claim;
    switch (why) {
      case 'lost': {
        log('lease lost; job process ended', { job: jobId, fence });
        return;
      }
      case 'draining':
        return this.#release('the worker is stopping');
      case 'entry-lost':
        return this.#release('its queue entry was lost', this.#freeReturns() >= MAX_FREE_RETURNS);
      case 'cancel-requested':
        await this.#events.flush();
        if (await jobs.cancel(jobId, fence)) await scratch.removeJob(jobId);
        {
          log('job canceled', { job: jobId });
          return;
        }
      case 'deadline':
        return this.#fail(
          'deadline-exceeded',
          `The job ran longer than its limit of ${request.limits?.runSeconds ?? DEFAULT_RUN_SECONDS} s ` +
            '(limits.runSeconds)',
        );
      case 'stalled':
        return this.#fail('deadline-exceeded', `The job made no progress for ${Math.round(settings.stallMs / 1000)} s`);
    }
  }

  /** Claims of the job that were given back without counting as an attempt: each claim raises the fence by one. */
  #freeReturns(): number {
    return this.#claim.fence - this.#claim.attempt;
  }

  /** The next attempt continues from the last checkpoint. */
  async #release(reason: string, countsAsAttempt = false): Promise<void> {
    const { jobs, log } = this.#deps;
    const { jobId, fence } = this.#claim;
    await this.#events.flush();
    await jobs.release(jobId, fence, reason, countsAsAttempt);
    log('job given back', { job: jobId, reason });
  }

  async #succeed(result: TaskResult): Promise<void> {
    const { jobs, blobs, scratch, settings, log } = this.#deps;
    const { jobId, fence } = this.#claim;
    const artifacts: ProducedArtifact[] = [];
    for (const { path, name, format, step } of result.files) {
      const { sha256, sizeBytes } = await blobs.put(createReadStream(path), settings.maxArtifactBytes);
      artifacts.push({ name, format, step, sha256, sizeBytes });
    }
    await this.#events.flush();
    const outcome: JobOutcome = { report: result.report, artifacts, recommended: result.recommended };
    const committed = await jobs.succeed(jobId, fence, outcome);
    if (committed) await scratch.removeJob(jobId);
    log(committed ? 'job succeeded' : "result dropped: the job is another worker's", { job: jobId, fence });
  }

  async #fail(code: ErrorCode, message: string): Promise<void> {
    const { jobs, scratch, log } = this.#deps;
    const { jobId, fence } = this.#claim;
    const failure: JobFailure = { code, message, retryable: ERRORS[code].retryable };
    await this.#events.flush();
    if (await jobs.fail(jobId, fence, failure)) await scratch.removeJob(jobId);
    log('job failed', { job: jobId, code, detail: message });
  }

  /** No event is lost while the database is away, as long as the lease lasts. */
  async #record(events: readonly JobEvent[]): Promise<void> {
    const { jobs, log } = this.#deps;
    for (let tries = 0; this.#lease.end !== 'lost'; tries++) {
      try {
        if (!(await jobs.record(this.#claim.jobId, this.#claim.fence, events))) this.#lease.lose();
        return;
      } catch (error) {
        log('events not written yet', { job: this.#claim.jobId, error: String(error) });
        await sleep(Math.min(200 * 2 ** tries, 5000));
      }
    }
  }
}

/** A job's error has one message: it names the place of every problem. */
function withErrorPaths({
  message,
  errors,
}: {
  message: string;
  errors: readonly { path: string; message: string }[];
}): string {
  const places = errors
    .filter(({ path }) => !message.includes(path))
    .map(({ path, message: problem }) => `${path}: ${problem}`);
  return [message, ...places.slice(0, 5)].join('; ');
}
