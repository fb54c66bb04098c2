/**
 * A step that trains, applied by several processes at once: all run the same technique on the same state, and what they
 * exchange keeps them equal. This one, rank 0, keeps the result, the checkpoints and the reports.
 */
import { amongAll, ReplicaLost, type Collective } from '../collective/collective.ts';
import type { Replica } from '../collective/replica.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { withRestarts, type Application, type Attempt } from './restarts.ts';

export interface ReplicaGroup {
  /** This process, rank 0. */
  readonly replica: Replica;
  /** Ends the other processes. */
  close(): Promise<void>;
}

export interface ReplicaProcesses {
  /** Starts the other ranks on a step; they take part in it at once. @param state before the step */
  start(step: number, state: ModelState): Promise<ReplicaGroup>;
}

/** @throws what `withRestarts` throws */
export function applyTogether(
  apply: (context: StepContext) => Promise<ModelState>,
  { processes, index, state, context }: Application<ReplicaProcesses>,
): Promise<ModelState> {
  const start = async (): Promise<Attempt> => {
    const { replica, close } = await processes.start(index, state);
    const checkpoints = sharedCheckpoints(context.checkpoints, replica.collective);
    const run = async (): Promise<ModelState> => {
      const result = await apply({ ...context, replica, checkpoints });
      const { figures } = replica;
      if (figures) context.record({ parallel: { mode: 'sync', ...figures, stepMs: [...figures.stepMs] } });
      return result;
    };
    return { run, close };
  };
  return withRestarts(start, (error) => error instanceof ReplicaLost, context);
}

/**
 * All ranks load what rank 0 finds, and only rank 0 saves. @param store of rank 0; null: this is another
 */
export function sharedCheckpoints(store: CheckpointStore | null, collective: Collective): CheckpointStore {
  return {
    save: async (bytes) => store?.save(bytes),
    load: async () => {
      const own = store && (await store.load());
      const sent = await amongAll(() => collective.broadcast(own ? Buffer.concat([FOUND, own]) : Buffer.alloc(0)));
      return sent.length === 0 ? null : sent.subarray(FOUND.length);
    },
  };
}

const FOUND = Buffer.of(1);
