/**
 * A step that trains asynchronously: this process holds the weights, others compute gradients for it. It keeps the
 * result, the checkpoints and the reports; a worker that is gone is missed by nobody while another lives.
 */
import { NoWorkers, type AsyncServer } from '../collective/async-place.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { withRestarts, type Application, type Attempt } from './restarts.ts';

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

/** @throws what `withRestarts` throws */
export function applyAsynchronously(
  apply: (context: StepContext) => Promise<ModelState>,
  { processes, index, state, context }: Application<WorkerProcesses>,
): Promise<ModelState> {
  const start = async (): Promise<Attempt> => {
    const checkpoint = await context.checkpoints.load();
    const { server, close } = await processes.start(index, state, checkpoint, (detail) =>
      context.warn('replica-lost', `${detail}; the others go on`),
    );
    const run = async (): Promise<ModelState> => {
      const result = await apply({ ...context, asynchronous: server });
      if (server.figures) context.record({ parallel: { mode: 'async', ...copied(server.figures) } });
      return result;
    };
    return { run, close };
  };
  return withRestarts(start, (error) => error instanceof NoWorkers, context);
}

function copied({ stepMs, samplesPerSecond, staleness, ...rest }: NonNullable<AsyncServer['figures']>) {
  return { ...rest, stepMs: [...stepMs], samplesPerSecond: [...samplesPerSecond], staleness: [...staleness] };
}
