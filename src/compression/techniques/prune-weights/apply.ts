import { elementAt } from '../../ir/checked-access.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import { countWeights } from '../../graph/weights.ts';
import type { Network } from '../../network/network.ts';
import { setUpTraining } from '../../training/training-setup.ts';
import { withNetwork } from '../../training/session.ts';
import { retrainingTerms, standInTeacher } from '../../training/teacher-terms.ts';
import { train } from '../../training/train.ts';
import { kernelWeights, type KernelWeight } from '../kernel-weights.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { pruneModel } from './host.ts';
import { pruningPlan } from './plan.ts';
import { Pruner } from './pruner.ts';
import type { PruneWeightsParameters } from './spec.ts';

/** Share of a model's weights; if kernels hold less, their sparsity says little about the model's. */
const NOTABLE_SHARE = 0.2;

/** Prunes kernels and retrains the rest; the state's `frozenZeros` then keep the zeros. */
export async function apply(
  state: ModelState,
  parameters: PruneWeightsParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const weights = chosenWeights(state, parameters, context);
  if (weights.length === 0) return state;
  if (parameters.epochs === 0) return pruneAtOnce(state, weights, parameters);
  const trained = new Set<string>();
  const after = await withNetwork(state, context, async (network) => {
    for (const name of await pruneAndTrain(network, weights, { state, parameters, context })) trained.add(name);
  });
  // Kernels that no gradient reaches did not take part in the training: prune them separately.
  const beyond = kernelWeights(after.model).filter(
    ({ name }) => !trained.has(name) && weights.some((weight) => weight.name === name),
  );
  const frozen = { ...after, frozenZeros: new Set([...after.frozenZeros, ...trained]) };
  return beyond.length > 0 ? pruneAtOnce(frozen, beyond, { ...parameters, score: 'magnitude' }) : frozen;
}

function chosenWeights(
  { model }: ModelState,
  { layers, pattern }: PruneWeightsParameters,
  context: StepContext,
): KernelWeight[] {
  const matches = layerMatcher(layers);
  const all = kernelWeights(model);
  const chosen = all.filter(({ names }) => matches(names));
  if (chosen.length === 0) {
    context.warn(
      'nothing-to-prune',
      all.length === 0
        ? 'The model has no float kernels'
        : `No layer matches ${JSON.stringify(layers)}; there are ${all.map(({ name }) => `"${name}"`).join(', ')}`,
    );
  }
  warnOfOtherWeights(model, all, context);
  const size = Number(pattern?.split(':')[1] ?? 1);
  const isRagged = ({ tensor, reductionAxis }: KernelWeight): boolean =>
    reductionAxis === null || elementAt(tensor.dims, reductionAxis, 'axis') % size !== 0;
  const ragged = pattern === undefined ? [] : chosen.filter(isRagged);
  if (ragged.length > 0)
    context.warn(
      'pattern-does-not-fit',
      `Input channels that fill no group of ${size} stay dense in ${ragged.map(({ name }) => `"${name}"`).join(', ')}`,
    );
  return chosen;
}

/**
 * Embeddings and weights of operators that only onnxruntime knows are not kernels: where they dominate, the kernels'
 * sparsity says little.
 */
function warnOfOtherWeights(
  { graph }: ModelState['model'],
  kernels: readonly KernelWeight[],
  context: StepContext,
): void {
  const { parameters } = countWeights(graph);
  const share = kernels.reduce((sum, { tensor }) => sum + elementCount(tensor.dims), 0) / Math.max(1, parameters);
  if (kernels.length > 0 && share < NOTABLE_SHARE)
    context.warn(
      'few-weights-are-kernels',
      'Only kernels of convolutions, products and recurrences are pruned: ' +
        `they hold ${Math.round(share * 100)} % of the model's ${parameters} weights`,
    );
}

function pruneAtOnce(
  state: ModelState,
  weights: readonly KernelWeight[],
  parameters: PruneWeightsParameters,
): ModelState {
  const { model, pruned } = pruneModel(state.model, weights, parameters);
  return pruned.length === 0 ? state : { ...state, model, frozenZeros: new Set([...state.frozenZeros, ...pruned]) };
}

interface PruningContext {
  readonly state: ModelState;
  readonly parameters: PruneWeightsParameters;
  readonly context: StepContext;
}

/** Returns the names of the pruned weights. */
async function pruneAndTrain(
  network: Network,
  weights: readonly KernelWeight[],
  { state, parameters, context }: PruningContext,
): Promise<string[]> {
  const setup = await setUpTraining(network, context, parameters.training);
  const rounds = parameters.schedule === 'iterative' ? parameters.rounds : 1;
  const epochs = parameters.epochs * rounds;
  const plan = pruningPlan(parameters, epochs * setup.common.train.batchesPerEpoch);
  const pruner = new Pruner(network, weights, parameters, state.frozenZeros);
  const teacher = standInTeacher(setup, context.original);
  try {
    await train({
      ...setup.common,
      terms: retrainingTerms(setup, teacher),
      metrics: setup.metrics,
      epochs,
      cycles: rounds,
      constraints: [pruner.masks],
      observers: pruner.scorer.observer ? [pruner.scorer.observer] : [],
      beforeStep: (step) => {
        const fraction = plan.fractionBefore(step);
        if (fraction !== null) pruner.prune(fraction);
      },
      qualifies: (step) => step > plan.reachedAt,
    });
    return pruner.names;
  } finally {
    pruner.dispose();
    teacher?.dispose();
  }
}
