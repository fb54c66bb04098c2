import { Type } from 'typebox';
import type { ErrorDetail } from '../../../errors.ts';
import { LayerFilter } from '../layer-filter.ts';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { trainingSeconds } from '../training-cost.ts';

const Parameters = Type.Object(
  {
    energy: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description:
          'share of the sum of squared weights that every layer keeps; 0.9 where neither this nor rank nor ratio ' +
          'is given',
      }),
    ),
    rank: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'channels between the factors' })),
    ratio: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description: 'share of its weights that every layer keeps at most',
      }),
    ),
    method: Type.Enum(['svd', 'tucker', 'auto'], {
      default: 'auto',
      description:
        'svd: two factors; of a convolution either fewer filters and a 1x1 one, or a column and a row. tucker: ' +
        'convolutions as 1x1, a smaller kernel, 1x1. auto: of these, ' +
        'the cheapest that keeps the energy, or with rank or ratio the closest',
    }),
    epochs: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 1,
      description:
        'epochs of retraining; 0: factorizes only. Without data, or where the model cannot be trained, ' +
        '0 is the default',
    }),
    layers: LayerFilter,
    training: StepTraining,
  },
  { additionalProperties: false },
);

export type FactorizeParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'factorize',
  version: 1,
  summary:
    'Writes layers as products of smaller ones where that takes fewer weights and operations, and retrains them.',
  paper:
    'Denton et al. 2014, arXiv 1404.0736; Jaderberg et al. 2014, arXiv 1405.3866; Zhang et al. 2016, ' +
    'arXiv 1505.06798; Kim et al. 2016, arXiv 1511.06530',
  parameters: Parameters,
  neutral: { energy: 1, epochs: 0 },
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true }),
  changesFloatWeights: () => true,
  cost: ({ epochs }, model) => trainingSeconds(epochs, model),
  defaults: (given, { trainable, data }) => ({
    ...(given['energy'] === undefined && given['rank'] === undefined && given['ratio'] === undefined
      ? { energy: 0.9 }
      : {}),
    epochs: trainable && data !== 'none' ? 1 : 0,
  }),
  contradictions,
};

function contradictions({ energy, rank, ratio }: FactorizeParameters): ErrorDetail[] {
  const given = Object.entries({ energy, rank, ratio })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  return given.length === 1
    ? []
    : [
        {
          path: `/${given[1] ?? 'energy'}`,
          message: `give one of energy, rank and ratio; given: ${given.join(', ') || 'none'}`,
        },
      ];
}
