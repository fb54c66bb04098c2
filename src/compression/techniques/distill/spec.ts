import { Type } from 'typebox';
import type { ErrorDetail } from '../../../errors.ts';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { trainingSeconds } from '../training-cost.ts';

const Student = Type.Object(
  {
    width: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 1,
      description: 'share of the channels of every layer that the student has',
    }),
    depth: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 1,
      description:
        'share of the blocks that could be left out, those that keep the shape of what passes, that the student has',
    }),
  },
  {
    additionalProperties: false,
    description:
      'makes the student of the teacher, with the weights of what it keeps; absent: ' +
      "the student is the job's model as it is",
  },
);

const Hint = Type.Object(
  {
    teacher: Type.String({ minLength: 1, description: 'a value of the teacher, by its name in the graph' }),
    student: Type.String({ minLength: 1, description: 'the value of the student that learns from it' }),
  },
  { additionalProperties: false },
);

const Parameters = Type.Object(
  {
    teacher: Type.String({
      minLength: 1,
      default: 'original',
      description: '"original" (the job\'s model as it was uploaded) or the id of another uploaded model',
    }),
    student: Type.Optional(Student),
    method: Type.Enum(['logits', 'hints', 'attention', 'relational'], {
      default: 'logits',
      description:
        "logits: every output of the student learns the teacher's. The others do so too, " +
        'and learn what the teacher has on the way: ' +
        'hints: its values, in a stage before; attention: where in a map it looks; relational: ' +
        'how samples lie to each other',
    }),
    temperature: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1000,
      default: 4,
      description: 'softens class scores of teacher and student; the term is scaled by its square',
    }),
    alpha: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.9,
      description: "weight of the teacher's term; the labels' loss has 1 - alpha. Without labels: 1",
    }),
    hints: Type.Optional(
      Type.Array(Hint, {
        minItems: 1,
        maxItems: 64,
        description:
          'values to learn from, for every method but logits; absent: they are found (middle layer; ' +
          'last map of each resolution; what goes into the last layer)',
      }),
    ),
    hintEpochs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: 'hints: passes of the stage that learns them; absent: as many as epochs',
      }),
    ),
    beta: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1e9,
        description:
          'attention, relational: weight of the term beside those of the outputs; absent: 1000 for attention, ' +
          '1 for relational',
      }),
    ),
    epochs: Type.Integer({ minimum: 0, maximum: 10_000, default: 1, description: 'passes over the training split' }),
    training: StepTraining,
  },
  { additionalProperties: false },
);

export type DistillParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'distill',
  version: 2,
  summary:
    'Trains the model, or a smaller one made of it, to give the outputs of a teacher, ' +
    'and to get there in the same way.',
  paper:
    'Hinton, Vinyals, Dean 2015, arXiv 1503.02531; Romero et al. 2015, arXiv 1412.6550; ' +
    'Zagoruyko & Komodakis 2017, arXiv 1612.03928; Park et al. 2019, arXiv 1904.05068',
  parameters: Parameters,
  neutral: { epochs: 0 },
  keepsCodebooks: ({ student }) => student === undefined,
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true }),
  usesOriginal: ({ teacher }) => teacher === 'original',
  changesFloatWeights: ({ epochs }) => epochs > 0,
  cost: ({ epochs, method, hintEpochs = epochs }, model) =>
    trainingSeconds(epochs + (method === 'hints' ? hintEpochs : 0), model, 1),
  contradictions,
};

function contradictions({ method, hints, hintEpochs, beta, student, epochs }: DistillParameters): ErrorDetail[] {
  const problems: ErrorDetail[] = [];
  if (method === 'logits' && hints)
    problems.push({
      path: '/hints',
      message: 'method "logits" learns outputs only; hints go with "hints", "attention" and "relational"',
    });
  if (method !== 'hints' && hintEpochs !== undefined)
    problems.push({
      path: '/hintEpochs',
      message: `only method "hints" has a stage before; the method is "${method}"`,
    });
  if (method !== 'attention' && method !== 'relational' && beta !== undefined)
    problems.push({
      path: '/beta',
      message: `"${method}" has no term of that weight; it goes with "attention" and "relational"`,
    });
  if (student && epochs === 0)
    problems.push({
      path: '/student',
      message: 'a student that is made of the teacher has to be trained: it needs epochs of 1 or more',
    });
  return problems;
}
