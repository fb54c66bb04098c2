import { Type } from 'typebox';
import type { ErrorDetail } from '../../../errors.ts';
import { LayerFilter } from '../layer-filter.ts';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { scheduledEpochs, trainingSeconds } from '../training-cost.ts';

const Parameters = Type.Object(
  {
    ratio: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0.3,
      description: 'share of the channels that go, of those that can',
    }),
    scope: Type.Enum(['layer', 'global'], {
      default: 'layer',
      description: 'whether every layer loses this share, or all together, the least important first',
    }),
    score: Type.Enum(['l1', 'l2', 'bn-scale', 'taylor', 'geometric-median', 'random'], {
      default: 'l2',
      description:
        'what makes a channel worth keeping: the norm of its weights; the scale of its normalization; ' +
        'what the loss loses with it (taylor); its distance to the other channels; chance',
    }),
    roundTo: Type.Integer({
      minimum: 1,
      maximum: 1024,
      default: 1,
      description: 'layers keep a multiple of this many channels, where they have as many; 8 or 16 suit vector units',
    }),
    maxRatio: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.9,
      description: 'scope global: no layer loses a greater share',
    }),
    schedule: Type.Enum(['one-shot', 'gradual', 'iterative'], {
      default: 'one-shot',
      description:
        'all at once, then retraining; epoch by epoch along a cubic ramp; or in rounds, each followed by retraining',
    }),
    epochs: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 1,
      description:
        'epochs of retraining (iterative: after each round); 0: prunes only. Without data, ' +
        'or where the model cannot be trained, 0 is the default',
    }),
    rampFraction: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.5,
      description: 'gradual: share of the epochs after which the target is reached',
    }),
    rounds: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 3,
      description: 'iterative: rounds of pruning and retraining',
    }),
    layers: LayerFilter,
    training: StepTraining,
  },
  { additionalProperties: false },
);

export type PruneChannelsParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'prune-channels',
  version: 1,
  summary:
    'Removes the least important channels with all that belongs to them, ' +
    'so that the model is smaller and faster in any runtime, and retrains the rest.',
  paper:
    'Li et al. 2017, arXiv 1608.08710; Liu et al. 2017, arXiv 1708.06519; Molchanov et al. 2019, ' +
    'arXiv 1906.10771; He et al. 2019, arXiv 1811.00250; Fang et al. 2023, arXiv 2301.12900',
  parameters: Parameters,
  neutral: { ratio: 0, epochs: 0 },
  needs: ({ epochs, score }) =>
    epochs === 0 && score !== 'taylor' ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true },
  changesFloatWeights: () => true,
  cost: (parameters, model) => trainingSeconds(scheduledEpochs(parameters), model),
  defaults: (given, { trainable, data }) => ({
    epochs: given['schedule'] === 'gradual' || (trainable && data !== 'none') ? 1 : 0,
  }),
  contradictions,
  contradictsAsync,
};

/** The server alone has the gradients, and takes them batch by batch. */
function contradictsAsync({ score }: PruneChannelsParameters): ErrorDetail[] {
  if (score !== 'taylor') return [];
  const message =
    '"taylor" scores come from gradients that in mode "async" the server alone sees; use "sync" or "none"';
  return [{ path: '/score', message }];
}

function contradictions({ schedule, epochs }: PruneChannelsParameters): ErrorDetail[] {
  return schedule === 'gradual' && epochs === 0
    ? [{ path: '/schedule', message: 'gradual pruning happens between epochs: it needs epochs of 1 or more' }]
    : [];
}
