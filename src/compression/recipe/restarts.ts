/** A step that trains on several processes starts again, from its last checkpoint, when they are gone. */
import { LatheError } from '../../errors.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';

/** A step as `processes` take part in it. */
export interface Application<Processes> {
  readonly processes: Processes;
  /** Of the step. */
  readonly index: number;
  readonly state: ModelState;
  readonly context: StepContext;
}

export interface Attempt {
  run(): Promise<ModelState>;
  /** Ends the other processes. */
  close(): Promise<void>;
}

const MAX_RESTARTS = 3;

/**
 * @param start of the processes, for each attempt
 * @param isLoss whether an error of `run` is the loss of processes
 * @throws LatheError `worker-lost` if they are lost more often than the step starts again; what else `run` throws
 */
export async function withRestarts(
  start: () => Promise<Attempt>,
  isLoss: (error: unknown) => error is Error,
  { warn }: Pick<StepContext, 'warn'>,
): Promise<ModelState> {
  for (let restarts = 0; ; restarts++) {
    const attempt = await start();
    try {
      return await attempt.run();
    } catch (error) {
      if (!isLoss(error)) throw error;
      if (restarts === MAX_RESTARTS)
        throw new LatheError('worker-lost', `${error.message}; the step had started again ${MAX_RESTARTS} times`);
      warn('replica-lost', `${error.message}; the step starts again from its last checkpoint`);
    } finally {
      await attempt.close();
    }
  }
}
