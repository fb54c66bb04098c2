/** Importance of weights: the magnitude, or a score summed over training. */
import type { Parameter } from '../../network/network.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { byParameter, disposeAll, variablesLike } from '../../training/named-variable.ts';
import type { GradientObserver } from '../../training/step.ts';
import { magnitudes } from '../../weights/masks.ts';
import type { PruneWeightsParameters } from './spec.ts';
import { entryOf } from '../../ir/checked-access.ts';

export interface Scorer {
  /** What observes the gradients; null if nothing has to. */
  readonly observer: GradientObserver | null;
  /** In the parameter's physical layout. */
  scores(parameter: Parameter): Float32Array;
  dispose(): void;
}

type ScoreName = PruneWeightsParameters['score'];

export function makeScorer(score: ScoreName, parameters: readonly Parameter[]): Scorer {
  return score === 'magnitude' ? MAGNITUDE : gradientScorer(CONTRIBUTIONS[score], parameters);
}

const MAGNITUDE: Scorer = {
  observer: null,
  scores: ({ variable }) => magnitudes(variable.dataSync()),
  dispose: () => undefined,
};

/** What one training step adds to the score of weights w with gradients g. */
const CONTRIBUTIONS: Record<Exclude<ScoreName, 'magnitude'>, (w: TfTensor, g: TfTensor) => TfTensor> = {
  // Sanh et al. 2020 (arXiv 2005.07683), equation 3: weights that move away from zero matter, whatever their size.
  movement: (w, g) => tf.neg(tf.mul(w, g)),
  // Molchanov et al. 2019 (arXiv 1906.10771): the change of the loss if the weight were zero, to first order.
  taylor: (w, g) => tf.abs(tf.mul(w, g)),
};

function gradientScorer(
  contribution: (w: TfTensor, g: TfTensor) => TfTensor,
  parameters: readonly Parameter[],
): Scorer {
  const variables = variablesLike(parameters, 'score', 0);
  const sums = byParameter(variables);
  return {
    observer: {
      variables,
      observe: ({ name, variable }, gradient) => {
        const sum = sums.get(name);
        if (sum) sum.assign(tf.add(sum, contribution(variable, gradient)));
      },
    },
    scores: ({ name }) => Float32Array.from(entryOf(sums, name, 'score of').dataSync()),
    dispose: () => disposeAll(variables),
  };
}
