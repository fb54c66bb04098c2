/**
 * The training step of one of several replicas, compiled whole, the exchange included: nothing comes back to the host
 * in between. On CPUs a compiled step runs one operation after another (docs/decisions/compiled-step.md), so the
 * exchange takes its own time there; last layers' gradients are sent first, for executors that compute on beside it.
 * The loss is weighted by this replica's part of the batch's samples; the sums over all replicas are then the gradients
 * of the whole batch.
 */
import type { Batch, HostArray } from '../data/dataset.ts';
import type { Replica } from '../collective/replica.ts';
import { elementAt } from '../ir/checked-access.ts';
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import type { SharedGroup } from '../tensor/shared-group.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import {
  applyUpdate,
  differentiate,
  earlierRuns,
  ownSeed,
  packInputs,
  readLosses,
  stepVariables,
  unpackInputs,
  type StepMaker,
  type TrainingStepParts,
} from './step.ts';
import { trainedParameters } from './term.ts';

/** The step of a replica in a shared group. */
export function sharedStep(replica: Replica, group: SharedGroup): StepMaker {
  return (parts) => {
    let compiled: CompiledStep | null = null;
    const fill = emptyShares();
    const step = (inputs: TfTensor[]): TfTensor[] => takeStep(parts, inputs, replica, group);
    return {
      run: async (batch, settings) => {
        const samples = tf.scalar(batch.size);
        const inputs = [samples, ...packInputs(parts, fill(batch), ownSeed(settings, replica.collective.rank))];
        compiled ??= compileStep({
          inputs,
          variables: stepVariables(parts),
          step,
          earlierRuns: ([, ...rest]) => earlierRuns(parts)(rest),
          repeat: (runs) => group.alone(runs),
        });
        const before = { at: performance.now(), ...group.times() };
        try {
          return readLosses(compiled.run(inputs), inputs);
        } catch (error) {
          const reason = group.failure();
          throw reason === null ? error : await replica.lossBehind(reason);
        } finally {
          record(replica, group, before);
        }
      },
      dispose: () => compiled?.dispose(),
    };
  };
}

/** Exchanges may run beside the computing: what a replica computes itself is the time in which it waits for no other. */
function record(
  replica: Replica,
  group: SharedGroup,
  before: { at: number; exchangeMs: number; waitMs: number },
): void {
  if (group.failure() !== null) return;
  const { exchangeMs, waitMs } = group.times();
  const computeMs = performance.now() - before.at - (waitMs - before.waitMs);
  replica.record({ computeMs, exchangeMs: exchangeMs - before.exchangeMs });
}

function takeStep(
  parts: TrainingStepParts,
  [samples, ...inputs]: TfTensor[],
  replica: Replica,
  group: SharedGroup,
): TfTensor[] {
  const { batch, seed, scalars } = unpackInputs(parts, inputs);
  const own = samples as TfTensor;
  const weight = tf.div(own, elementAt(group.sum([own]), 0, 'number of samples'));
  const share = replica.syncBatchNorm ? { sharedBatch: { group, counts: tf.minimum(own, 1) } } : {};
  const found = differentiate(parts, batch, seed, { weight, ...share });
  const statistics = replica.syncBatchNorm ? [] : [...found.state];
  // The last layers' gradients are there first.
  const gradients = [...found.gradients].reverse();
  const [sum, ...terms] = found.losses as [TfTensor, ...TfTensor[]];
  const losses = tf.stack([sum, ...terms.map((loss) => tf.mul(loss, tf.reshape(weight, [])))]);
  const sums = group.sum([...gradients, ...statistics.map(([, value]) => tf.mul(value, weight)), losses]);
  const count = trainedParameters(parts.network, parts.terms).length;
  const state = replica.syncBatchNorm
    ? found.state
    : new Map(statistics.map(([name], i) => [name, elementAt(sums, count + i, 'statistic')]));
  applyUpdate(parts, sums.slice(0, count).reverse(), state, scalars);
  return tf.unstack(elementAt(sums, sums.length - 1, 'losses'));
}

/**
 * A replica whose share is empty takes part with one sample of weight 0: one that it has had, so that its values are
 * of the usual kind, or zeros.
 */
function emptyShares(): (batch: Batch) => Batch {
  let earlier: Batch | null = null;
  return (batch) => {
    if (batch.size === 0) return earlier ?? withOneSample(batch);
    earlier ??= withOneSample(batch);
    return batch;
  };
}

function withOneSample({ inputs, target }: Batch): Batch {
  return {
    size: 0,
    inputs: new Map([...inputs].map(([name, array]) => [name, oneSample(array)])),
    target: target && oneSample(target),
  };
}

/** The first sample, or zeros where there is none. An array without axes is all samples'. */
function oneSample(array: HostArray): HostArray {
  if (array.shape.length === 0) return array;
  const [, ...shape] = array.shape;
  const size = shape.reduce((product, dim) => product * dim, 1);
  const data = array.data.slice(0, size);
  return { ...array, shape: [1, ...shape], data: data.length === size ? data : zerosLike(data, size) };
}

function zerosLike(data: HostArray['data'], size: number): HostArray['data'] {
  if (data instanceof BigInt64Array) return new BigInt64Array(size);
  return data instanceof Float32Array
    ? new Float32Array(size)
    : data instanceof Int32Array
      ? new Int32Array(size)
      : new Uint8Array(size);
}
