import { Type } from 'typebox';
import { Training } from '../../../contracts/job-request.ts';
import type { TechniqueSpec } from '../technique.ts';

const Parameters = Type.Object({
  teacher: Type.String({ minLength: 1, default: 'original', description: '"original" (the job\'s model as it was uploaded) or the id of another uploaded model' }),
  method: Type.Enum(['logits'], { default: 'logits', description: 'logits: every output of the student learns the teacher\'s' }),
  temperature: Type.Number({ exclusiveMinimum: 0, maximum: 1000, default: 4, description: 'softens class scores of teacher and student; the term is scaled by its square' }),
  alpha: Type.Number({ minimum: 0, maximum: 1, default: 0.9, description: 'weight of the teacher\'s term; the labels\' loss has 1 - alpha. Without labels: 1' }),
  epochs: Type.Integer({ minimum: 0, maximum: 10_000, default: 1, description: 'passes over the training split' }),
  training: Type.Optional({ ...Training, description: 'overrides the job\'s training settings for this step' }),
}, { additionalProperties: false });

export type DistillParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'distill',
  version: 1,
  summary: 'Trains the model to give the outputs of a teacher: the original, or another model.',
  paper: 'Hinton, Vinyals, Dean 2015, arXiv 1503.02531',
  parameters: Parameters,
  neutral: { epochs: 0 },
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true }),
};
