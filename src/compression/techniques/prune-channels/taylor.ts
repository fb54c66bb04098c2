/**
 * The change of the loss without each channel, to first order: (sum over the channel's weights of w dL/dw)^2, summed
 * over batches (Molchanov et al. 2019, arXiv 1906.10771).
 */
import type { BatchSource } from '../../data/dataset.ts';
import type { ChannelMap } from '../../graph/channels/couple.ts';
import type { ChannelGroup, ConstantAxis } from '../../graph/channels/groups.ts';
import type { RemovableChannels } from '../../graph/channels/removable.ts';
import type { Network, Parameter } from '../../network/network.ts';
import { tf, type TfVariable } from '../../tensor/tf.ts';
import { setUpTraining } from '../../training/training-setup.ts';
import { networkOf } from '../../training/session.ts';
import type { GradientObserver } from '../../training/step.ts';
import { retrainingTerms, standInTeacher } from '../../training/teacher-terms.ts';
import { train } from '../../training/train.ts';
import type { CheckpointStore } from '../../step/checkpoint-store.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { sumByUnit, weightScores, type AxisValues, type Scores } from '../channel-scores.ts';
import type { PruneChannelsParameters } from './spec.ts';

/** Enough batches to tell channels apart. */
const MAX_BATCHES = 100;

const FORGETFUL: CheckpointStore = { save: () => Promise.resolve(), load: () => Promise.resolve(null) };

/**
 * Scores of each group, gathered over part of an epoch without updating weights. Layers that gradients do not reach are
 * scored by their norms.
 */
export async function taylorScores(
  state: ModelState,
  { map, groups }: RemovableChannels,
  context: StepContext,
  training: PruneChannelsParameters['training'],
): Promise<Scores[]> {
  const network = networkOf(state.model);
  const sums = zeroSums(network, groups);
  let teacher: Network | null = null;
  try {
    const quiet = { ...context, checkpoints: FORGETFUL, report: () => undefined };
    const setup = await setUpTraining(network, quiet, training);
    teacher = standInTeacher(setup, context.original);
    await train({
      ...setup.common,
      terms: retrainingTerms(setup, teacher),
      metrics: [],
      epochs: 1,
      settings: { optimizer: 'sgd', learningRate: 0 },
      train: firstBatches(setup.common.train, MAX_BATCHES),
      validation: null,
      observers: [observerOf(sums)],
    });
    return groups.map((group) => groupScores(map, group, sums, context.seed));
  } finally {
    tf.dispose([...sums.values()]);
    teacher?.dispose();
    network.dispose();
  }
}

type Sums = ReadonlyMap<ConstantAxis, TfVariable>;

/** One sum per channel, for each axis of a parameter that makes a group's channels. */
function zeroSums(network: Network, groups: readonly ChannelGroup[]): Sums {
  const makers = groups.flatMap((group) => [...group.makers]).filter((maker) => parameterOf(network, maker));
  const zeros = ({ labels }: ConstantAxis) => tf.tidy(() => tf.variable(tf.zeros([labels.length]), false));
  return new Map(makers.map((maker) => [maker, zeros(maker)]));
}

function observerOf(sums: Sums): GradientObserver {
  return {
    variables: [...sums].map(([{ tensor }, variable], i) => ({
      kind: `channel-score-${i}`,
      parameter: tensor.name,
      variable,
    })),
    observe: (parameter, gradient) => addUp(sums, parameter, gradient),
  };
}

function parameterOf(network: Network, { tensor }: ConstantAxis): Parameter | undefined {
  return network.parameters.find(({ name }) => name === tensor.name);
}

function addUp(sums: Sums, { name, variable, perm }: Parameter, gradient: ReturnType<typeof tf.mul>): void {
  for (const [{ tensor, axis }, sum] of sums) {
    if (tensor.name !== name) continue;
    const kept = perm ? perm.indexOf(axis) : axis;
    const others = variable.shape.map((_, i) => i).filter((i) => i !== kept);
    sum.assign(tf.add(sum, tf.square(tf.sum(tf.mul(variable, gradient), others))));
  }
}

function groupScores(map: ChannelMap, group: ChannelGroup, sums: Sums, seed: number): Scores {
  const parts = group.makers.flatMap((maker): AxisValues[] => {
    const sum = sums.get(maker);
    return sum ? [{ maker, values: Float64Array.from(sum.dataSync()) }] : [];
  });
  return parts.length > 0 ? sumByUnit(map, group, parts) : weightScores(map, group, 'l2', seed);
}

/** The beginning of every epoch. */
function firstBatches(source: BatchSource, maxBatches: number): BatchSource {
  const batchesPerEpoch = Math.min(source.batchesPerEpoch, maxBatches);
  return {
    samples: source.samples,
    batchesPerEpoch,
    async *epoch(epoch) {
      let count = 0;
      for await (const batch of source.epoch(epoch)) {
        yield batch;
        if (++count === batchesPerEpoch) return;
      }
    },
    shard: (rank, of) => firstBatches(source.shard(rank, of), maxBatches),
    figures: () => source.figures(),
    close: () => source.close(),
  };
}
