/**
 * Pairs values of the student with values of the teacher: as the request says, else where the two networks correspond.
 */
import { LatheError, type ErrorDetail } from '../../../errors.ts';
import type { Feature, Features } from './features.ts';
import type { DistillParameters } from './spec.ts';

export interface FeaturePair {
  readonly teacher: Feature;
  readonly student: Feature;
}

export interface Networks {
  readonly teacher: Features;
  readonly student: Features;
}

type FeatureMethod = Exclude<DistillParameters['method'], 'logits'>;

/**
 * @throws LatheError `invalid-request` for names that are not float values; `shape-mismatch` if nothing can be paired
 */
export function featurePairs(
  method: FeatureMethod,
  networks: Networks,
  hints: DistillParameters['hints'],
): FeaturePair[] {
  const pairs = hints ? namedPairs(networks, hints) : CHOICES[method](networks);
  if (pairs.length > 0) return pairs;
  throw new LatheError(
    'shape-mismatch',
    `Method "${method}" finds no values of the student that correspond to the teacher's; name some in hints. ` +
      listed(networks),
  );
}

const CHOICES: Record<FeatureMethod, (networks: Networks) => FeaturePair[]> = {
  hints: middle,
  attention: resolutions,
  relational: embeddings,
};

function namedPairs(networks: Networks, hints: NonNullable<DistillParameters['hints']>): FeaturePair[] {
  const errors: ErrorDetail[] = [];
  const find = (side: keyof Networks, name: string, i: number): Feature | null => {
    const feature = networks[side].find(name);
    if (!feature)
      errors.push({
        path: `/hints/${i}/${side}`,
        message: `the ${side} has no float value "${name}" with an axis of samples and another`,
      });
    return feature;
  };
  const pairs = hints.map(({ teacher, student }, i) => ({
    teacher: find('teacher', teacher, i),
    student: find('student', student, i),
  }));
  if (errors.length > 0)
    throw new LatheError(
      'invalid-request',
      `${errors.map(({ message }) => message).join('; ')}. ${listed(networks)}`,
      errors,
    );
  return pairs as FeaturePair[];
}

const MAX_LISTED = 12;

/** The values that hints could name. */
function listed({ teacher, student }: Networks): string {
  const names = ({ layers }: Features): string =>
    layers
      .slice(0, MAX_LISTED)
      .map(({ name }) => `"${name}"`)
      .join(', ') + (layers.length > MAX_LISTED ? ', ...' : '') || 'nothing';
  return `Between its layers the teacher has ${names(teacher)}; the student ${names(student)}`;
}

/**
 * The student's middle layer (Romero et al. 2015) with the teacher's layer of the same size at about the same depth.
 */
function middle({ teacher, student }: Networks): FeaturePair[] {
  const centre = (student.layers.length - 1) / 2;
  const order = student.layers
    .map((feature, i) => ({ feature, i }))
    .sort((a, b) => Math.abs(a.i - centre) - Math.abs(b.i - centre) || a.i - b.i);
  for (const { feature, i } of order) {
    const depth = (i + 1) / (student.layers.length + 1);
    const distance = (j: number): number => Math.abs((j + 1) / (teacher.layers.length + 1) - depth);
    const [nearest] = teacher.layers
      .map((candidate, j) => ({ candidate, j }))
      .filter(({ candidate }) => samePositions(candidate, feature))
      .sort((a, b) => distance(a.j) - distance(b.j));
    if (nearest) return [{ teacher: nearest.candidate, student: feature }];
  }
  return [];
}

/** The last feature map of each resolution that both have (Zagoruyko & Komodakis 2017). */
function resolutions({ teacher, student }: Networks): FeaturePair[] {
  const ofTeacher = lastByPositions(teacher);
  return [...lastByPositions(student)].flatMap(([key, feature]) => {
    const partner = ofTeacher.get(key);
    return partner ? [{ teacher: partner, student: feature }] : [];
  });
}

/** The input of the last layer (Park et al. 2019). */
function embeddings({ teacher, student }: Networks): FeaturePair[] {
  const [a, b] = [teacher.layers.at(-1), student.layers.at(-1)];
  return a && b ? [{ teacher: a, student: b }] : [];
}

/** Sizes of all axes but those of samples and channels. */
export function positions({ shape, channelAxis }: Feature): readonly (number | null)[] {
  return shape.filter((_, axis) => axis !== 0 && axis !== channelAxis);
}

/** Whether two values differ only in their samples and channels. */
export function samePositions(a: Feature, b: Feature): boolean {
  return a.shape.length === b.shape.length && positions(a).join() === positions(b).join();
}

function lastByPositions({ layers }: Features): Map<string, Feature> {
  const maps = layers.filter((feature) => positions(feature).some((size) => size !== 1));
  return new Map(maps.map((feature) => [`${feature.shape.length}: ${positions(feature).join()}`, feature]));
}
