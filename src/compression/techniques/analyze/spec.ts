import { Type } from 'typebox';
import { LayerFilter } from '../layer-filter.ts';
import type { ModelCost, TechniqueSpec } from '../technique.ts';

const Parameters = Type.Object(
  {
    of: Type.Array(Type.Enum(['prune', 'int8']), {
      minItems: 1,
      uniqueItems: true,
      default: ['prune', 'int8'],
      description:
        'what is done to one layer at a time: its smallest weights become zero (prune), its weights get 8 bits (int8)',
    }),
    sparsities: Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), {
      minItems: 1,
      maxItems: 10,
      uniqueItems: true,
      default: [0.5, 0.7, 0.9],
      description: "prune: shares of the layer's weights that become zero, one trial each",
    }),
    samples: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: 256,
      description: 'samples of each trial; fewer where the model is so heavy that all trials would take many minutes',
    }),
    tolerance: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.01,
      description:
        'what one layer may cost before it is recommended for exclusion: accuracy, share of samples, ' +
        "share of the loss or of the outputs' squares",
    }),
    layers: LayerFilter,
  },
  { additionalProperties: false },
);

export type AnalyzeParameters = Type.Static<typeof Parameters>;

/** Time to open a model in onnxruntime. */
const SESSION_SECONDS = 0.05;
/** Upper bound: the step takes fewer samples if trials would take longer. */
const MAX_TRIAL_SECONDS = 900;

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'analyze',
  version: 1,
  summary:
    'Measures what the model loses when one layer alone is pruned or brought to int8; changes nothing, ' +
    'and says which layers to leave out.',
  paper: 'Li et al. 2017, arXiv 1608.08710, section 3.2',
  parameters: Parameters,
  neutral: {},
  isReadOnly: true,
  needs: () => ({ data: 'optional', trainable: false }),
  usesOriginal: () => false,
  changesFloatWeights: () => false,
  cost: trialSeconds,
};

/** Every layer is tried in several ways, each with a session and a run over the samples. */
function trialSeconds({ of, sparsities, samples }: AnalyzeParameters, model: ModelCost): number {
  const ways = (of.includes('prune') ? sparsities.length : 0) + (of.includes('int8') ? 1 : 0);
  return Math.min(MAX_TRIAL_SECONDS, model.kernelLayers * ways * (samples * model.forwardSeconds + SESSION_SECONDS));
}
