/**
 * The teacher's term of distillation: every float output of the student learns the teacher's, which runs frozen in the
 * same training step.
 *
 * Class scores: T^2 * KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015, arXiv 1503.02531; T^2 keeps
 * the gradient's scale independent of T). Behind a sigmoid: the same of Bernoulli distributions. Anything else: the
 * squared error relative to the mean square of the teacher's output, so that outputs of any scale weigh the same.
 */
import { tf, type TfTensor } from '../tensor/tf.ts';
import type { Head } from './head.ts';
import { binaryKlDivergence, klDivergence, logitsOfBernoulli, logitsOfProbabilities, meanLoss } from './losses.ts';
import type { TeacherForward } from './teacher-forward.ts';
import type { LossTerm } from './term.ts';
import { elementAt } from '../ir/checked-access.ts';

/** How an output is compared. */
type Comparison = 'classes' | 'bernoulli' | 'values';

/** One output of the student with the teacher's that it learns from. */
export interface OutputPair {
  readonly student: Head;
  readonly teacher: Head;
  /** The dataset says that these are class scores, though no activation shows it. */
  readonly isClasses: boolean;
}

export interface TeacherSettings {
  readonly teacher: TeacherForward;
  readonly pairs: readonly OutputPair[];
  readonly temperature: number;
  readonly weight: number;
}

export function teacherTerm({ teacher, pairs, temperature, weight }: TeacherSettings): LossTerm {
  const compared = pairs.map((pair) => ({ ...pair, comparison: comparisonOf(pair) }));
  const teacherValue = ({ teacher: head, comparison }: (typeof compared)[number]) =>
    comparison === 'values' ? head.output : head.scores;
  const studentValue = ({ student: head, comparison }: (typeof compared)[number]) =>
    comparison === 'values' ? head.output : head.scores;
  teacher.request(compared.map(teacherValue));
  return {
    name: 'teacher',
    weight,
    fetch: compared.map(studentValue),
    variables: teacher.variables,
    prepare: (batch) => {
      const values = teacher.values(batch);
      return compared.map((pair) => soften(values(teacherValue(pair)), pair.teacher, pair.comparison, temperature));
    },
    loss: ({ value, prepared }) => {
      const losses = compared.map((pair, i) =>
        DISTANCES[pair.comparison](
          value(studentValue(pair)),
          elementAt(prepared, i, 'teacher value'),
          pair.student,
          temperature,
        ),
      );
      return meanLoss(losses);
    },
  };
}

const isSoftmax = ({ activation }: Head) =>
  activation === 'softmax' || activation === 'log-softmax' || activation === 'probabilities';
const isBernoulli = ({ activation }: Head) => activation === 'sigmoid' || activation === 'probability';

function comparisonOf({ student, teacher, isClasses }: OutputPair): Comparison {
  if (isBernoulli(student) || isBernoulli(teacher))
    return isBernoulli(student) && isBernoulli(teacher) ? 'bernoulli' : 'values';
  if (isSoftmax(student) && isSoftmax(teacher)) return 'classes';
  return isClasses ? 'classes' : 'values';
}

/** What the student is compared with: probabilities at temperature T, or the plain values. */
function soften(value: TfTensor, head: Head, comparison: Comparison, temperature: number): TfTensor {
  switch (comparison) {
    case 'classes':
      return tf.softmax(tf.div(classRows(value, head), temperature));
    case 'bernoulli':
      return tf.sigmoid(tf.div(bernoulliLogits(value, head), temperature));
    case 'values':
      return value;
  }
}

const DISTANCES: Record<Comparison, (student: TfTensor, soft: TfTensor, head: Head, temperature: number) => TfTensor> =
  {
    classes: (student, soft, head, temperature) =>
      tf.mul(tf.mean(klDivergence(tf.div(classRows(student, head), temperature), soft)), temperature ** 2),
    bernoulli: (student, soft, head, temperature) =>
      tf.mul(tf.mean(binaryKlDivergence(tf.div(bernoulliLogits(student, head), temperature), soft)), temperature ** 2),
    values: (student, values) =>
      tf.div(tf.mean(tf.squaredDifference(student, values)), tf.add(tf.mean(tf.square(values)), 1e-12)),
  };

/**
 * Logits with the classes along the last axis: [rows, c]. Without a softmax to name the axis, all of a sample's scores
 * are classes.
 */
function classRows(value: TfTensor, head: Head): TfTensor {
  if (!isSoftmax(head)) return tf.reshape(value, [value.shape[0] ?? 1, -1]);
  const axis = head.axis < 0 ? head.axis + value.rank : head.axis;
  const last = value.rank - 1;
  const moved =
    axis === last ? value : tf.transpose(value, [...value.shape.keys()].filter((i) => i !== axis).concat(axis));
  const rows = tf.reshape(moved, [-1, elementAt(value.shape, axis, 'axis')]);
  return head.activation === 'probabilities' ? logitsOfProbabilities(rows) : rows;
}

/** [n, m] logits. */
function bernoulliLogits(value: TfTensor, head: Head): TfTensor {
  const flat = tf.reshape(value, [value.shape[0] ?? 1, -1]);
  return head.activation === 'probability' ? logitsOfBernoulli(flat) : flat;
}
