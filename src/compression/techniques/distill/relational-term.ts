/**
 * Relational distillation (Park et al. 2019, arXiv 1904.05068): the student learns the teacher's distances and angles
 * between samples.
 */
import { tf, type TfTensor } from '../../tensor/tf.ts';
import type { TeacherForward } from '../../training/teacher-forward.ts';
import type { LossTerm } from '../../training/term.ts';
import type { FeaturePair } from './pairs.ts';
import { elementAt } from '../../ir/checked-access.ts';

/** Weights of the paper's RKD-DA. */
const DISTANCE = 25;
const ANGLE = 50;
/** Limits angles to the triples of a batch's first samples: 64^3 of them. */
const MAX_ANGLE_SAMPLES = 64;
const EPSILON = 1e-12;

/**
 * beta times (25 times the Huber loss of distances + 50 times that of angles, eqs. 5 and 8), the mean over the pairs.
 */
export function relationalTerm(pairs: readonly FeaturePair[], teacher: TeacherForward, beta: number): LossTerm {
  teacher.request(pairs.map((pair) => pair.teacher.name));
  return {
    name: 'relations',
    weight: beta / pairs.length,
    fetch: pairs.map((pair) => pair.student.name),
    variables: teacher.variables,
    prepare: (batch) => {
      const values = teacher.values(batch);
      return pairs.flatMap((pair) => relationsOf(values(pair.teacher.name)));
    },
    loss: ({ value, prepared }) =>
      tf.addN(
        pairs.map(({ student }, i) => {
          const [distances, angles] = relationsOf(value(student.name));
          return tf.add(
            tf.mul(huber(distances, elementAt(prepared, 2 * i, 'relation')), DISTANCE),
            tf.mul(huber(angles, elementAt(prepared, 2 * i + 1, 'relation')), ANGLE),
          );
        }),
      ),
  };
}

/**
 * [n, ...] -> distances [n, n] over their mean, and cosines [m, m, m] of the angles at the first sample between the
 * other two.
 */
function relationsOf(value: TfTensor): [TfTensor, TfTensor] {
  const count = value.shape[0] ?? 1;
  const rows = centred(tf.reshape(value, [count, -1]));
  const apart = tf.sub(1, tf.eye(count));
  const products = tf.matMul(rows, rows, false, true);
  const distances = distancesOf(products, apart);
  const mean = tf.add(tf.div(tf.sum(distances), Math.max(1, count * (count - 1))), EPSILON);
  return [tf.div(distances, mean), angles(products, distances, apart)];
}

/**
 * Centres the rows and scales them to length 1 on average: changes no relation and keeps the rounding of the products
 * small.
 */
function centred(rows: TfTensor): TfTensor {
  const around = tf.sub(rows, tf.mean(rows, 0, true));
  return tf.div(around, tf.sqrt(tf.add(tf.mean(tf.sum(tf.square(around), 1)), EPSILON)));
}

/** |a - b| = sqrt(a.a + b.b - 2 a.b); 0 on the diagonal, where the root has no derivative. */
function distancesOf(products: TfTensor, apart: TfTensor): TfTensor {
  const squares = squaresOf(products);
  const between = tf.sub(tf.add(squares, tf.transpose(squares)), tf.mul(products, 2));
  return tf.mul(tf.sqrt(tf.add(tf.relu(tf.mul(between, apart)), EPSILON)), apart);
}

/** [n, 1]: the diagonal. */
function squaresOf(products: TfTensor): TfTensor {
  return tf.sum(tf.mul(products, tf.eye(elementAt(products.shape, 0, 'axis'))), 1, true);
}

/**
 * (x_j - x_i).(x_k - x_i) / (d_ij d_ik), from the products alone: the differences themselves would be n^2 vectors. 0
 * where j or k is i.
 */
function angles(products: TfTensor, distances: TfTensor, apart: TfTensor): TfTensor {
  const count = Math.min(elementAt(products.shape, 0, 'axis'), MAX_ANGLE_SAMPLES);
  const corner = (matrix: TfTensor): TfTensor => tf.slice(matrix, [0, 0], [count, count]);
  const both = (matrix: TfTensor): TfTensor => tf.mul(tf.expandDims(matrix, 2), tf.expandDims(matrix, 1));
  const gram = corner(products);
  const dots = tf.add(
    tf.sub(tf.sub(tf.expandDims(gram, 0), tf.expandDims(gram, 2)), tf.expandDims(gram, 1)),
    tf.reshape(squaresOf(gram), [count, 1, 1]),
  );
  return tf.div(tf.mul(dots, both(corner(apart))), tf.add(both(corner(distances)), 1e-6));
}

/** Mean of x^2 / 2 where |x| <= 1, |x| - 1/2 beyond. */
function huber(a: TfTensor, b: TfTensor): TfTensor {
  const off = tf.abs(tf.sub(a, b));
  const near = tf.minimum(off, 1);
  return tf.mean(tf.add(tf.mul(tf.square(near), 0.5), tf.sub(off, near)));
}
