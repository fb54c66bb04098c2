/** The loss terms of a training with a teacher: its outputs, weighted alpha, and the labels, weighted 1 - alpha. */
import { LatheError } from '../../errors.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { Model } from '../ir/types.ts';
import type { Network } from '../network/network.ts';
import { findHead, type Head } from './head.ts';
import type { TrainingSetup } from './training-setup.ts';
import { networkOf } from './session.ts';
import { teacherTerm, type OutputPair } from './teacher.ts';
import { TeacherForward } from './teacher-forward.ts';
import type { LossTerm } from './term.ts';

export interface DistillationLoss {
  readonly setup: Pick<TrainingSetup, 'heads' | 'labels' | 'classes'>;
  readonly teacher: TeacherForward;
  readonly temperature: number;
  readonly alpha: number;
}

/** Empty if the model has no float output. Leaves out terms of weight 0. */
export function distillationTerms({ setup, teacher, temperature, alpha }: DistillationLoss): LossTerm[] {
  const pairs = pairOutputs(setup, teacher.network);
  const terms: LossTerm[] = [];
  if (alpha > 0 && pairs.length > 0) terms.push(teacherTerm({ teacher, pairs, temperature, weight: alpha }));
  if (alpha < 1 && setup.labels) terms.push({ ...setup.labels, weight: 1 - alpha });
  return terms;
}

/** Temperature of the distillation that stands in for labels. */
const STAND_IN_TEMPERATURE = 2;

/** The uploaded model, if there are no labels; null if there are. The caller disposes of it. */
export function standInTeacher(setup: Pick<TrainingSetup, 'labels'>, original: Model): Network | null {
  return setup.labels ? null : networkOf(original, 'The original model');
}

/**
 * The labels' loss; without labels (a teacher is given) the teacher's terms.
 * @throws LatheError `model-not-trainable` if the model has no float output
 */
export function retrainingTerms(
  setup: Pick<TrainingSetup, 'heads' | 'labels' | 'classes'>,
  teacher: Network | null,
): LossTerm[] {
  if (!teacher) {
    if (!setup.labels) throw new Error('retraining needs labels or a teacher');
    return [setup.labels];
  }
  const terms = distillationTerms({
    setup,
    teacher: new TeacherForward(teacher),
    temperature: STAND_IN_TEMPERATURE,
    alpha: 1,
  });
  if (terms.length === 0) throw new LatheError('model-not-trainable', 'The model has no float output to retrain on');
  return terms;
}

/** Every float output of the student with the teacher's: by name where all names agree, else by position. */
function pairOutputs({ heads, classes }: DistillationLoss['setup'], teacher: Network): OutputPair[] {
  const names = teacher.outputs.map(({ name }) => name);
  const byName = heads.every(({ output }) => names.includes(output));
  return heads.map((student, i): OutputPair => {
    const output = byName ? student.output : elementAt(names, i, 'output of the teacher');
    return {
      student,
      teacher: teacherHead(teacher, output, student),
      isClasses: classes !== null && i === 0 && student.width > 1,
    };
  });
}

/** If the teacher's graph shows no activation, takes the kind found from the student's values. */
function teacherHead(teacher: Network, output: string, student: Head): Head {
  const head = findHead(teacher.model, output);
  const shown = student.activation === 'probabilities' || student.activation === 'probability';
  return head.activation === 'none' && shown ? { ...head, activation: student.activation } : head;
}
