/** Training after pruning: the smaller model recovers the accuracy of the original. */
import type { Training } from '../../contracts/job-request.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { setUpTraining } from './training-setup.ts';
import { frozenMasks, withNetwork } from './session.ts';
import { retrainingTerms, standInTeacher } from './teacher-terms.ts';
import { train } from './train.ts';

/**
 * Trains on labels; without labels, on the outputs of the uploaded model. @param training overrides the job's settings
 */
export function recoverAccuracy(
  state: ModelState,
  { training }: { readonly training?: Training },
  context: StepContext,
  epochs: number,
): Promise<ModelState> {
  return withNetwork(state, context, async (network) => {
    const setup = await setUpTraining(network, context, training);
    const teacher = standInTeacher(setup, context.original);
    const masks = frozenMasks(network, state);
    try {
      await train({
        ...setup.common,
        terms: retrainingTerms(setup, teacher),
        metrics: setup.metrics,
        epochs,
        constraints: masks ? [masks] : [],
      });
    } finally {
      masks?.dispose();
      teacher?.dispose();
    }
  });
}
