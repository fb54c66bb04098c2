/** The training after a cut: what is left of a model learns to do what it did. */
import type { Training } from '../../contracts/job-request.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import { openLesson } from './lesson.ts';
import { frozenMasks, withNetwork } from './session.ts';
import { retrainingTerms, standInTeacher } from './teacher-lesson.ts';
import { train } from './train.ts';

/**
 * Learns the labels; without labels, the outputs of the model as it was uploaded. @param training overrides the job's
 * settings
 */
export function recovered(
  state: ModelState,
  { training }: { readonly training?: Training },
  context: StepContext,
  epochs: number,
): Promise<ModelState> {
  return withNetwork(state, context, async (network) => {
    const lesson = await openLesson(network, context, training);
    const teacher = standInTeacher(lesson, context.original);
    const masks = frozenMasks(network, state);
    try {
      await train({
        ...lesson.common,
        terms: retrainingTerms(lesson, teacher),
        metrics: lesson.metrics,
        epochs,
        constraints: masks ? [masks] : [],
      });
    } finally {
      masks?.dispose();
      teacher?.dispose();
    }
  });
}
