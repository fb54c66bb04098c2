import { Type } from 'typebox';
import { Training } from '../../../contracts/job-request.ts';
import type { TechniqueSpec } from '../technique.ts';

const Parameters = Type.Object({
  epochs: Type.Integer({ minimum: 0, maximum: 10_000, default: 1, description: 'passes over the training split' }),
  training: Type.Optional({ ...Training, description: 'overrides the job\'s training settings for this step' }),
}, { additionalProperties: false });

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'retrain',
  version: 1,
  summary: 'Trains the model on the dataset\'s labels; zeros of pruned weights stay zero.',
  parameters: Parameters,
  neutral: { epochs: 0 },
  keepsCodebooks: () => true,
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'labels', trainable: true }),
};
