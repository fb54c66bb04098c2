/**
 * How far rounding alone may make two runtimes differ on one model. Both compute in float32, but sum in different
 * orders; a saturated Sigmoid, a variance computed as E[x^2] - E[x]^2 or a Log near zero amplifies the difference. The
 * criterion is backward error: the outputs of a correct engine are the exact ones of a model and inputs that differ in
 * their last digits (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 1.5). So the model is run
 * again with both perturbed, and the change of its outputs is what rounding may do.
 */
import { seededRandom } from '../data/random.ts';
import { fromHost, toHost } from '../ir/tensor-data.ts';
import type { DataType, Model, Tensor } from '../ir/types.ts';
import type { Feeds } from '../measure/session.ts';
import { perturbTransforms } from './perturb-transforms.ts';
import { constantsOf, replaceConstants } from '../network/write-back.ts';

/**
 * Relative perturbation: 8 units in the last place of float32; for shorter types, to a neighbouring number.
 */
const PERTURBATION = 2 ** -20;
const NUDGES: Partial<Record<DataType, number>> = { float16: 2 ** -11, bfloat16: 2 ** -8 };
const RUNS = 2;
/** Perturbations cancel in a long sum, with the root of its length; the errors of its partial sums do not. */
const CANCELLED = 10;
/** Relative to an output's range; where perturbations do more, a comparison says nothing. */
const MAX_ALLOWANCE = 0.05;

/** A model and its inputs. */
export interface Trial {
  readonly model: Model;
  readonly feeds: Feeds;
}

/**
 * The difference that rounding explains, by output.
 * @param weights names of the constants to nudge
 * @param movedBy runs a nudged trial and gives the difference of each output from the given trial's, relative to its
 * range
 */
export async function roundingAllowance(
  given: Trial,
  weights: readonly string[],
  movedBy: (nudged: Trial) => Promise<ReadonlyMap<string, number>>,
): Promise<Map<string, number>> {
  const allowed = new Map<string, number>();
  for (let run = 0; run < RUNS; run++) {
    for (const [name, moved] of await movedBy({
      model: perturbModel(given.model, weights, run),
      feeds: perturbFeeds(given.feeds, run),
    })) {
      allowed.set(name, Math.min(MAX_ALLOWANCE, Math.max(allowed.get(name) ?? 0, CANCELLED * moved)));
    }
  }
  return allowed;
}

function perturbModel(model: Model, weights: readonly string[], seed: number): Model {
  const constants = constantsOf(model.graph);
  const changed = new Map(
    weights.flatMap((name, i) => {
      const tensor = constants.get(name);
      return tensor ? [[name, perturbTensor(tensor, seededRandom(seed, i))] as const] : [];
    }),
  );
  return perturbTransforms({ ...model, graph: replaceConstants(model.graph, changed) }, seededRandom(seed, -2));
}

function perturbTensor(tensor: Tensor, random: () => number): Tensor {
  const host = toHost(tensor);
  return fromHost(tensor.name, {
    ...host,
    data: (host.data as Float32Array).map(nudgeBy(random, NUDGES[tensor.dtype])),
  });
}

function perturbFeeds(feeds: Feeds, seed: number): Feeds {
  return new Map(
    [...feeds].map(([name, array], i) => {
      const { data } = array;
      return [
        name,
        data instanceof Float32Array ? { ...array, data: data.map(nudgeBy(seededRandom(seed, -1, i))) } : array,
      ] as const;
    }),
  );
}

const nudgeBy =
  (random: () => number, nudge = PERTURBATION) =>
  (value: number): number =>
    value * (random() < 0.5 ? 1 - nudge : 1 + nudge);
