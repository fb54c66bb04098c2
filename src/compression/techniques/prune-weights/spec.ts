import { Type } from 'typebox';
import type { ErrorDetail } from '../../../errors.ts';
import { LayerFilter } from '../layer-filter.ts';
import { StepTraining } from '../step-training.ts';
import type { TechniqueSpec } from '../technique.ts';
import { scheduledEpochs, trainingSeconds } from '../training-cost.ts';

const Threshold = Type.Union(
  [
    Type.Object(
      { absolute: Type.Number({ minimum: 0, description: 'weights of a smaller magnitude go' }) },
      { additionalProperties: false },
    ),
    Type.Object(
      { sigma: Type.Number({ minimum: 0, description: "multiple of the standard deviation of the layer's weights" }) },
      { additionalProperties: false },
    ),
  ],
  { description: 'prunes below a magnitude: {"absolute": t} or {"sigma": a}' },
);

const Parameters = Type.Object(
  {
    sparsity: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'share of the weights that become zero; 0.5 where neither this nor threshold nor pattern is given',
      }),
    ),
    threshold: Type.Optional(Threshold),
    pattern: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]?:[1-9][0-9]?$',
        description:
          '"N:M": of every M weights in a row along the input channels, N stay; "2:4" is what sparse tensor cores take',
      }),
    ),
    scope: Type.Enum(['global', 'layer'], {
      default: 'global',
      description: 'whether sparsity is met over all weights together or in each layer',
    }),
    score: Type.Enum(['magnitude', 'movement', 'taylor'], {
      default: 'magnitude',
      description:
        'what makes a weight worth keeping: |w|; -w * dL/dw summed over training (movement); |w * dL/dw| (taylor)',
    }),
    schedule: Type.Enum(['one-shot', 'gradual', 'iterative'], {
      default: 'one-shot',
      description:
        'all at once, then retraining; along a cubic ramp while training; or in rounds, each followed by retraining',
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
      description: 'gradual: share of the training after which the target is reached',
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

export type PruneWeightsParameters = Type.Static<typeof Parameters>;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'prune-weights',
  version: 1,
  summary: 'Sets the least important weights to zero, one by one or in an N:M pattern, and retrains the rest.',
  paper:
    'Han et al. 2015, arXiv 1506.02626; Zhu & Gupta 2017, arXiv 1710.01878; Sanh et al. 2020, arXiv 2005.07683; ' +
    'Molchanov et al. 2019, arXiv 1906.10771',
  parameters: Parameters,
  neutral: { sparsity: 0, epochs: 0 },
  needs: ({ epochs, score }) => {
    if (score !== 'magnitude') return { data: 'inputs', trainable: true };
    return epochs === 0 ? { data: 'none', trainable: false } : { data: 'inputs', trainable: true };
  },
  changesFloatWeights: () => true,
  cost: (parameters, model) => trainingSeconds(scheduledEpochs(parameters), model),
  defaults: (given, { trainable, data }) => ({
    ...(given.sparsity === undefined && given.threshold === undefined && given.pattern === undefined
      ? { sparsity: 0.5 }
      : {}),
    epochs:
      given.schedule === 'gradual' || (given.score ?? 'magnitude') !== 'magnitude' || (trainable && data !== 'none')
        ? 1
        : 0,
  }),
  contradictions,
  contradictsAsync,
};

function contradictsAsync({ score }: PruneWeightsParameters, isLocal: boolean): ErrorDetail[] {
  if (!isLocal || score === 'magnitude') return [];
  const message = `"${score}" scores come from gradients, which local steps do not send; use localSteps 1 or "magnitude"`;
  return [{ path: '/score', message }];
}

function contradictions({
  sparsity,
  threshold,
  pattern,
  schedule,
  score,
  epochs,
}: PruneWeightsParameters): ErrorDetail[] {
  const given = Object.entries({ sparsity, threshold, pattern })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  const problems: ErrorDetail[] = [];
  if (given.length !== 1)
    problems.push({
      path: `/${given[1] ?? 'sparsity'}`,
      message: `give one of sparsity, threshold and pattern; given: ${given.join(', ') || 'none'}`,
    });
  const [keep, of] = (pattern ?? '1:2').split(':').map(Number) as [number, number];
  if (keep >= of) problems.push({ path: '/pattern', message: `"${pattern}" prunes nothing: N must be smaller than M` });
  if (schedule === 'gradual' && epochs === 0)
    problems.push({
      path: '/schedule',
      message: 'gradual pruning happens while training: it needs epochs of 1 or more',
    });
  if (score !== 'magnitude' && epochs === 0)
    problems.push({ path: '/score', message: `"${score}" is summed over training: it needs epochs of 1 or more` });
  if (threshold !== undefined && score !== 'magnitude')
    problems.push({
      path: '/threshold',
      message: `a threshold is one of magnitude; with score "${score}" give sparsity or pattern`,
    });
  return problems;
}
