/**
 * The training step of one part among processes that hold a part each: its own passes, then the sum of all parts'
 * gradients, then the same update everywhere, so that all parts hold the same weights.
 *
 * The sum costs as many bytes as that of replicas. In return, masks, clipping, observers, validation and checkpoints see
 * the whole network on every part, and a weight of several parts is summed by the way. Weights and optimizer state are
 * on every part; what a part saves is the memory and the time of the other parts' activations.
 */
import { elementAt } from '../../ir/checked-access.ts';
import { cutNetwork } from '../../network/stages/cut-network.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import type { StepMaker, TrainingStepParts } from '../../training/step.ts';
import { trainedParameters } from '../../training/term.ts';
import type { Link } from './link.ts';
import { splitBatch } from './micro-batches.ts';
import { PassRunner, type Sums } from './pass-runner.ts';
import { StageStep } from './stage-step.ts';
import { microTensors, updateStep, type StagedOptions } from './staged-step.ts';

/** Elementwise sums over all parts, the same bytes on each. */
export interface PartSum {
  sum(values: Float32Array): Promise<Float32Array>;
}

export interface PartOptions extends StagedOptions {
  /** That of this process. */
  readonly part: number;
  readonly link: Link;
  readonly collective: PartSum;
}

/** @throws Error where the cut does not fit the network; what link and collective throw */
export function partStep({ part, link, collective, ...options }: PartOptions): StepMaker {
  return (parts) => {
    const fetch = parts.terms.flatMap((term) => term.fetch);
    const cut = cutNetwork(parts.network, { stageOf: options.stageOf, fetch });
    const steps = new Map(
      cut.flatMap((stage, i) =>
        options.stages[i]?.part === part ? [[i, new StageStep(stage, parts, i === cut.length - 1)] as const] : [],
      ),
    );
    const update = updateStep(parts);
    return {
      run: async (batch, settings) => {
        const micro = microTensors(parts, splitBatch(batch, options.microBatches), batch.size, settings);
        const runner = new PassRunner(steps, micro, link);
        for (const pass of elementAt(options.schedule(micro.length), part, 'part')) await runner.run(pass);
        tf.dispose(micro.flatMap(({ batch: tensors, seed, share }) => [...tensors, seed, share]));
        const { losses, ...sums } = await summed(parts, withUnchanged(runner.sums, steps), collective);
        update.run(sums, settings);
        return losses;
      },
      dispose: () => {
        for (const stage of cut) if (!steps.has(stage.index)) stage.dispose();
        for (const step of steps.values()) step.dispose();
        update.dispose();
      },
    };
  };
}

/** Statistics that no pass changed count with their present value, once: in the part that has their stage. */
function withUnchanged(sums: Sums, steps: ReadonlyMap<number, StageStep>): Sums {
  const state = new Map(sums.state);
  for (const { stage } of steps.values())
    for (const { name, variable } of stage.state) if (!state.has(name)) state.set(name, variable.clone());
  return { ...sums, state };
}

/** Sums of all parts in one exchange. Disposes of this part's. */
async function summed(
  { network, terms }: TrainingStepParts,
  own: Sums,
  collective: PartSum,
): Promise<{ losses: number[]; gradients: Map<string, TfTensor>; state: Map<string, TfTensor> }> {
  const trained = trainedParameters(network, terms);
  const items = [
    ...trained.map(({ name, variable }) => ({ tensor: own.gradients.get(name), variable })),
    ...network.state.map(({ name, variable }) => ({ tensor: own.state.get(name), variable })),
  ];
  const places = terms.length + 1;
  const values = new Float32Array(items.reduce((sum, { variable }) => sum + variable.size, places));
  own.losses.forEach((loss, i) => values.set(loss.dataSync(), i));
  const offsets: number[] = [];
  let at = places;
  for (const { tensor, variable } of items) {
    if (tensor) values.set(await tensor.data(), at);
    offsets.push(at);
    at += variable.size;
  }
  tf.dispose([...own.losses, ...own.gradients.values(), ...own.state.values()]);
  const sum = await collective.sum(values);
  const tensors = items.map(({ variable }, i) => {
    const from = elementAt(offsets, i, 'offset');
    return tf.tensor(sum.slice(from, from + variable.size), variable.shape, 'float32');
  });
  const named = (of: readonly { readonly name: string }[], from: number): Map<string, TfTensor> =>
    new Map(of.map(({ name }, i) => [name, elementAt(tensors, from + i, 'sum')]));
  return {
    losses: [...sum.subarray(0, places)],
    gradients: named(trained, 0),
    state: named(network.state, trained.length),
  };
}
