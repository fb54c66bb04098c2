/**
 * FitNets' first stage (Romero et al. 2015, arXiv 1412.6550, eq. 3): the student's feature, mapped by a regressor,
 * learns the teacher's.
 */
import { LatheError } from '../../../errors.ts';
import { seededNormal } from '../../data/random.ts';
import type { Parameter } from '../../network/network.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { meanLoss } from '../../training/losses.ts';
import type { TeacherForward } from '../../training/teacher-forward.ts';
import type { LossTerm } from '../../training/term.ts';
import type { Feature } from './features.ts';
import { samePositions, type FeaturePair } from './pairs.ts';
import { elementAt } from '../../ir/checked-access.ts';

/**
 * A linear map of channels (a 1x1 convolution): [student channels, teacher channels] and a bias. Starts as the identity
 * if both have the same number.
 */
interface Regressor {
  readonly kernel: Parameter;
  readonly bias: Parameter;
}

export interface HintTerm extends LossTerm {
  dispose(): void;
}

/**
 * The mean over the pairs of the squared error relative to the teacher's mean square, so that features of any scale
 * weigh the same.
 * @throws LatheError `shape-mismatch` if a pair differs in more than its channels
 */
export function hintTerm(pairs: readonly FeaturePair[], teacher: TeacherForward, seed: number): HintTerm {
  pairs.forEach(requireSamePositions);
  const regressors = pairs.map((pair, i) => makeRegressor(pair, i, seed));
  const parameters = regressors.flatMap(({ kernel, bias }) => [kernel, bias]);
  teacher.request(pairs.map((pair) => pair.teacher.name));
  return {
    name: 'hints',
    weight: 1,
    parameters,
    fetch: pairs.map((pair) => pair.student.name),
    variables: teacher.variables,
    prepare: (batch) => {
      const values = teacher.values(batch);
      return pairs.map((pair) => rowsOfChannels(values(pair.teacher.name), pair.teacher));
    },
    loss: ({ value, prepared }) => {
      const losses = pairs.map(({ student }, i) => {
        const { kernel, bias } = elementAt(regressors, i, 'regressor');
        const wanted = elementAt(prepared, i, 'hint');
        const guess = tf.add(tf.matMul(rowsOfChannels(value(student.name), student), kernel.variable), bias.variable);
        return tf.div(tf.mean(tf.squaredDifference(guess, wanted)), tf.add(tf.mean(tf.square(wanted)), 1e-12));
      });
      return meanLoss(losses);
    },
    dispose: () => parameters.forEach(({ variable }) => variable.dispose()),
  };
}

function requireSamePositions({ teacher, student }: FeaturePair): void {
  if (samePositions(teacher, student)) return;
  const shown = ({ name, shape }: Feature): string => `"${name}" is [${shape.map((size) => size ?? '?').join(', ')}]`;
  throw new LatheError(
    'shape-mismatch',
    `A hint's values may differ in their channels only: ` +
      `the teacher's ${shown(teacher)}, the student's ${shown(student)}`,
  );
}

/** [n, ...] -> [positions of all samples, channels]. */
function rowsOfChannels(value: TfTensor, { channelAxis }: Feature): TfTensor {
  const last = value.rank - 1;
  const moved =
    channelAxis === last
      ? value
      : tf.transpose(value, [...value.shape.keys()].filter((axis) => axis !== channelAxis).concat(channelAxis));
  return tf.reshape(moved, [-1, elementAt(value.shape, channelAxis, 'axis')]);
}

function makeRegressor({ teacher, student }: FeaturePair, index: number, seed: number): Regressor {
  const [inputs, outputs] = [channelsOf(student), channelsOf(teacher)];
  const normal = seededNormal(seed, index);
  const start = (i: number): number =>
    inputs === outputs ? Number(i % (outputs + 1) === 0) : normal() * Math.sqrt(2 / (inputs + outputs));
  return {
    kernel: parameterOf(
      `hints.${index}.kernel`,
      [inputs, outputs],
      Float32Array.from({ length: inputs * outputs }, (_, i) => start(i)),
      'kernel',
    ),
    bias: parameterOf(`hints.${index}.bias`, [outputs], new Float32Array(outputs), 'bias'),
  };
}

function channelsOf({ name, shape, channelAxis }: Feature): number {
  const channels = shape[channelAxis];
  if (channels == null)
    throw new LatheError(
      'shape-mismatch',
      `The channels of "${name}" are not known before it runs; name another value in hints`,
    );
  return channels;
}

function parameterOf(name: string, dims: readonly number[], values: Float32Array, role: 'kernel' | 'bias'): Parameter {
  const variable = tf.tidy(() => tf.variable(tf.tensor(values, [...dims])));
  return { name, origin: name, variable, perm: null, dims, role, decays: role === 'kernel' };
}
