/** The training step of a replica, by what its group exchanges tensors with. */
import { LatheError } from '../../errors.ts';
import type { Replica } from '../collective/replica.ts';
import { exchangedStep } from './exchanged-step.ts';
import { sharedStep } from './shared-step.ts';
import type { StepMaker } from './step.ts';

/** @throws LatheError `unavailable` if statistics of the whole batch are asked for where they cannot be exchanged */
export function replicaStep(replica: Replica): StepMaker {
  if (replica.group) return sharedStep(replica, replica.group);
  return (parts) => {
    if (replica.syncBatchNorm && parts.network.state.length > 0)
      throw new LatheError(
        'unavailable',
        'The model has BatchNormalization, and this engine cannot exchange its statistics within a training step: ' +
          'set parallel.syncBatchNorm to false, or use the TensorFlow engine ("npm run setup" builds it)',
      );
    return exchangedStep(replica)(parts);
  };
}
