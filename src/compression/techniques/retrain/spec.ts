import { Type } from 'typebox';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { trainingSeconds } from '../training-cost.ts';

const Parameters = Type.Object(
  {
    epochs: Type.Integer({ minimum: 0, maximum: 10_000, default: 1, description: 'passes over the training split' }),
    training: StepTraining,
  },
  { additionalProperties: false },
);

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'retrain',
  version: 1,
  summary: "Trains the model on the dataset's labels; zeros of pruned weights stay zero.",
  parameters: Parameters,
  neutral: { epochs: 0 },
  keepsCodebooks: () => true,
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'labels', trainable: true }),
  usesOriginal: () => false,
  changesFloatWeights: ({ epochs }) => epochs > 0,
  cost: ({ epochs }, model) => trainingSeconds(epochs, model),
};
