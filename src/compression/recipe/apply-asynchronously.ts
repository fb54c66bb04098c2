/**
 * A step that trains asynchronously: this process holds the weights, others compute gradients for it. It keeps the
 * result, the checkpoints and the reports; a worker that is gone is missed by nobody while another lives.
 */
import { LatheError } from '../../errors.ts';
import { NoWorkers, type AsyncServer } from '../collective/async-place.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';

export interface WorkerGroup {
  readonly server: AsyncServer;
  /** Ends the workers. */
  close(): Promise<void>;
}

export interface WorkerProcesses {
  /**
   * Starts workers on a step; they take part in it as soon as they can.
   * @param state before the step
   * @param checkpoint that the step resumes from
   * @param onLoss is told of workers that are gone
   */
  start(
    step: number,
    state: ModelState,
    checkpoint: Uint8Array | null,
    onLoss: (detail: string) => void,
  ): Promise<WorkerGroup>;
}

interface Application {
  readonly processes: WorkerProcesses;
  /** Of the step. */
  readonly index: number;
  readonly state: ModelState;
  readonly context: StepContext;
}

/** How often a step starts again, from its last checkpoint, because all workers are gone. */
const MAX_RESTARTS = 3;

/** @throws LatheError `worker-lost` if all workers are gone more often than the step starts again; what `apply` throws */
export async function applyAsynchronously(
  apply: (context: StepContext) => Promise<ModelState>,
  { processes, index, state, context }: Application,
): Promise<ModelState> {
  for (let restarts = 0; ; restarts++) {
    const checkpoint = await context.checkpoints.load();
    const { server, close } = await processes.start(index, state, checkpoint, (detail) =>
      context.warn('replica-lost', `${detail}; the others go on`),
    );
    try {
      const result = await apply({ ...context, asynchronous: server });
      if (server.figures) context.record({ parallel: { mode: 'async', ...copied(server.figures) } });
      return result;
    } catch (error) {
      if (!(error instanceof NoWorkers)) throw error;
      if (restarts === MAX_RESTARTS)
        throw new LatheError('worker-lost', `${error.message}; the step had started again ${MAX_RESTARTS} times`);
      context.warn('replica-lost', `${error.message}; the step starts again from its last checkpoint`);
    } finally {
      await close();
    }
  }
}

function copied({ stepMs, samplesPerSecond, staleness, ...rest }: NonNullable<AsyncServer['figures']>) {
  return { ...rest, stepMs: [...stepMs], samplesPerSecond: [...samplesPerSecond], staleness: [...staleness] };
}
