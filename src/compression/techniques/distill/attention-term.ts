/**
 * Attention transfer (Zagoruyko & Komodakis 2017, arXiv 1612.03928): the student learns the teacher's attention maps.
 */
import { LatheError } from '../../../errors.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import type { TeacherForward } from '../../training/teacher-forward.ts';
import type { LossTerm } from '../../training/term.ts';
import type { Feature } from './features.ts';
import { positions, type FeaturePair } from './pairs.ts';
import { elementAt } from '../../ir/checked-access.ts';

/**
 * beta / 2 times the mean, over positions and samples, of (Q_s / |Q_s| - Q_t / |Q_t|)^2 with Q the sum over channels of
 * squared activations (eq. 2); summed over the pairs. Maps of images may differ in size: the teacher's is then resized
 * to the student's.
 * @throws LatheError `shape-mismatch` for values without positions, or of different sizes that are not images
 */
export function attentionTerm(pairs: readonly FeaturePair[], teacher: TeacherForward, beta: number): LossTerm {
  pairs.forEach(requireMaps);
  teacher.request(pairs.map((pair) => pair.teacher.name));
  return {
    name: 'attention',
    weight: beta / 2,
    fetch: pairs.map((pair) => pair.student.name),
    variables: teacher.variables,
    prepare: (batch) => {
      const values = teacher.values(batch);
      return pairs.map((pair) => attention(values(pair.teacher.name), pair.teacher, positions(pair.student)));
    },
    loss: ({ value, prepared }) =>
      tf.addN(
        pairs.map(({ student }, i) =>
          tf.mean(
            tf.squaredDifference(attention(value(student.name), student), elementAt(prepared, i, 'attention map')),
          ),
        ),
      ),
  };
}

function requireMaps({ teacher, student }: FeaturePair): void {
  const [a, b] = [positions(teacher), positions(student)];
  const sameSizes = a.join() === b.join();
  const images = a.length === 2 && b.length === 2 && b.every((size) => size !== null);
  if (a.length > 0 && b.length > 0 && (sameSizes || images)) return;
  throw new LatheError(
    'shape-mismatch',
    `Attention is transferred between maps: the teacher's "${teacher.name}" has positions ${text(a)}, ` +
      `the student's "${student.name}" ${text(b)}`,
  );
}

const text = (sizes: readonly (number | null)[]): string => `[${sizes.map((size) => size ?? '?').join(', ')}]`;

/** [n, positions], each sample's of length 1. */
function attention(value: TfTensor, feature: Feature, sizes = positions(feature)): TfTensor {
  const map = tf.mean(tf.square(value), feature.channelAxis); // the sum up to a factor, which the norm cancels
  const resized = sizes.join() === positions(feature).join() ? map : resize(map, sizes);
  const flat = tf.reshape(resized, [value.shape[0] ?? 1, -1]);
  return tf.div(flat, tf.sqrt(tf.add(tf.sum(tf.square(flat), 1, true), 1e-12)));
}

/** [n, h, w] -> [n, height, width]; maps without two known sizes stay as they are. */
function resize(map: TfTensor, [height, width, ...others]: readonly (number | null)[]): TfTensor {
  if (height == null || width == null || others.length > 0) return map;
  const image = tf.expandDims(map, -1) as Parameters<typeof tf.image.resizeBilinear>[0];
  return tf.image.resizeBilinear(image, [height, width]);
}
