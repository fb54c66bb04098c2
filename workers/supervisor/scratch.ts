/**
 * Scratch folders of jobs, under LATHE_HOME/scratch: `JOB/checkpoints` is kept between attempts, so that a killed job
 * can continue; `JOB/run-FENCE-TRY` belongs to one job process. Both are removed when the job ends; leftovers of dead
 * supervisors are swept.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface AttemptFolders {
  readonly checkpoints: string;
  readonly output: string;
  readonly temporary: string;
  /** Removes what belongs to this run alone. */
  remove(): Promise<void>;
}

/** A folder younger than this may belong to a claim that is just being made. */
const MIN_AGE_MS = 10_000;

export class Scratch {
  readonly #root: string;
  constructor(root: string) {
    this.#root = root;
  }

  async open(jobId: string, fence: number, attempt: number): Promise<AttemptFolders> {
    const run = join(this.#root, jobId, `run-${fence}-${attempt}`);
    const folders = {
      checkpoints: join(this.#root, jobId, 'checkpoints'),
      output: join(run, 'output'),
      temporary: join(run, 'tmp'),
    };
    await rm(run, { recursive: true, force: true });
    for (const path of Object.values(folders)) await mkdir(path, { recursive: true });
    return { ...folders, remove: () => rm(run, { recursive: true, force: true }) };
  }

  /** Removes everything of a job that has ended. */
  async removeJob(jobId: string): Promise<void> {
    await rm(join(this.#root, jobId), { recursive: true, force: true });
  }

  /** Removes the folders of jobs that ended while no supervisor ran on this machine. */
  async sweep(
    running: ReadonlySet<string>,
    endedOf: (jobIds: readonly string[]) => Promise<string[]>,
  ): Promise<string[]> {
    const old = await this.#oldFolders(running);
    if (old.length === 0) return [];
    const ended = await endedOf(old);
    for (const jobId of ended) await this.removeJob(jobId);
    return ended;
  }

  async #oldFolders(running: ReadonlySet<string>): Promise<string[]> {
    const names = await readdir(this.#root).catch(() => []);
    const old: string[] = [];
    for (const name of names) {
      if (running.has(name)) continue;
      const { mtimeMs } = await stat(join(this.#root, name)).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > MIN_AGE_MS) old.push(name);
    }
    return old;
  }
}
