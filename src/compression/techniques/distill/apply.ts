import type { Training } from '../../../contracts/job-request.ts';
import { LatheError } from '../../../errors.ts';
import type { Network } from '../../network/network.ts';
import { openLesson, type Lesson } from '../../training/lesson.ts';
import { fixedBatchOf } from '../../training/rows.ts';
import { frozenMasks, networkOf, withNetwork } from '../../training/session.ts';
import { distillationTerms } from '../../training/teacher-lesson.ts';
import { train } from '../../training/train.ts';
import type { ModelState, StepContext } from '../technique.ts';
import type { DistillParameters } from './spec.ts';

/** Trains the model to give its teacher's outputs, and the labels' where there are some. */
export async function apply(state: ModelState, parameters: DistillParameters, context: StepContext): Promise<ModelState> {
  context.signal.throwIfAborted();
  const { epochs, training, temperature, alpha } = parameters;
  if (epochs === 0) return state;
  const model = parameters.teacher === 'original' ? context.original : await context.loadModel(parameters.teacher);
  const teacher = networkOf(model, 'The teacher');
  try {
    return await withNetwork(state, context, async (network) => {
      const masks = frozenMasks(network, state);
      try {
        const lesson = await openLesson(network, context, { ...batchOf(teacher), ...training });
        const terms = distillationTerms({ lesson, teacher, temperature, alpha: alphaFor(lesson, alpha) });
        if (terms.length === 0) throw new LatheError('model-not-trainable', 'The model has no float output that a teacher could teach');
        const { unchanged } = await train({ ...lesson.common, terms, metrics: lesson.metrics, epochs, constraints: masks ? [masks] : [] });
        if (unchanged) context.warn('no-improvement', 'No epoch did better on the validation split than the weights it started with; they are kept');
      } finally {
        masks?.dispose();
      }
    });
  } finally {
    teacher.dispose();
  }
}

/** A teacher whose file fixes the batch size asks for it. */
function batchOf(teacher: Network): Training {
  const batchSize = fixedBatchOf(teacher);
  return batchSize === null ? {} : { batchSize };
}

/** Without labels the teacher is all there is. */
function alphaFor({ labels }: Lesson, alpha: number): number {
  return labels ? alpha : 1;
}
