import { Type } from 'typebox';
import { LayerFilter } from '../layer-filter.ts';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { trainingSeconds } from '../training-cost.ts';

const DEFAULT_BITS = 5;

const Parameters = Type.Object(
  {
    bits: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 8,
        description: `2^bits different values in each weight; ${DEFAULT_BITS} where neither this nor clusters is given`,
      }),
    ),
    clusters: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 256,
        description: 'different values in each weight, the zero of pruned ones included',
      }),
    ),
    init: Type.Enum(['linear', 'density', 'random'], {
      default: 'linear',
      description:
        'where k-means starts: centres evenly over the range of the values, evenly over their distribution, ' +
        'or at values drawn at random',
    }),
    epochs: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 1,
      description:
        'epochs of training the shared values; 0: clusters only. Without data, ' +
        'or where the model cannot be trained, 0 is the default',
    }),
    layers: LayerFilter,
    training: StepTraining,
  },
  { additionalProperties: false },
);

export type ClusterParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'cluster',
  version: 1,
  summary: 'Lets the weights of a layer share a few values, stores codes of a few bits instead, and trains the values.',
  paper: 'Han, Mao, Dally 2016, arXiv 1510.00149',
  parameters: Parameters,
  neutral: { bits: 8, epochs: 0, layers: { include: [] } },
  keepsCodebooks: () => true,
  needs: ({ epochs }) => (epochs === 0 ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true }),
  changesFloatWeights: () => true,
  cost: ({ epochs }, model) => trainingSeconds(epochs, model),
  defaults: (given, { trainable, data }) => ({
    ...(given.bits === undefined && given.clusters === undefined ? { bits: DEFAULT_BITS } : {}),
    epochs: trainable && data !== 'none' ? 1 : 0,
  }),
  contradictions: ({ bits, clusters }) =>
    (bits === undefined) === (clusters === undefined)
      ? [
          {
            path: '/clusters',
            message:
              bits === undefined
                ? 'give bits or clusters'
                : `give bits or clusters, not both: ${bits} bits are ${2 ** bits} clusters`,
          },
        ]
      : [],
};

/** How many different values a weight may have. */
export function clusterCount({ bits, clusters }: Pick<ClusterParameters, 'bits' | 'clusters'>): number {
  return clusters ?? 2 ** (bits ?? DEFAULT_BITS);
}
