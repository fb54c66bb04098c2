/** Runs passes of one batch on the stages of this process, and sums what they give. */
import { elementAt, entryOf } from '../../ir/checked-access.ts';
import type { Stage, Values } from '../../network/stages/stage.ts';
import type { Value } from '../../operators/operator.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import type { Link } from './link.ts';
import type { Pass } from './schedule.ts';
import type { BackwardResult, MicroBatchTensors, StageStep } from './stage-step.ts';

/** Over the micro-batches; the caller disposes of them. */
export interface Sums {
  /** By parameter name: a parameter of several stages has one sum. */
  readonly gradients: ReadonlyMap<string, TfTensor>;
  /** Running statistics, weighted by samples. */
  readonly state: ReadonlyMap<string, TfTensor>;
  readonly losses: TfTensor[];
}

export class PassRunner {
  private readonly steps: ReadonlyMap<number, StageStep>;
  private readonly micro: readonly MicroBatchTensors[];
  private readonly link: Link;
  /** What stages received, until their backward pass. */
  private readonly received = new Map<string, Values>();
  private readonly gradients = new Map<string, TfTensor>();
  private readonly state = new Map<string, TfTensor>();
  private losses: TfTensor[] = [];

  /** @param steps by stage: those of this process */
  constructor(steps: ReadonlyMap<number, StageStep>, micro: readonly MicroBatchTensors[], link: Link) {
    this.steps = steps;
    this.micro = micro;
    this.link = link;
  }

  get sums(): Sums {
    return { gradients: this.gradients, state: this.state, losses: this.losses };
  }

  async run(pass: Pass): Promise<void> {
    if (pass.kind === 'forward') await this.forward(pass);
    else await this.backward(pass);
  }

  private async forward({ stage: index, microBatch }: Pass): Promise<void> {
    const step = entryOf(this.steps, index, 'stage');
    const { stage } = step;
    const received = await this.receive(stage, microBatch);
    this.received.set(`${index} ${microBatch}`, received);
    if (step.isLast) return; // the loss is computed on the tape of the backward pass
    const made = step.forward(elementAt(this.micro, microBatch, 'micro-batch'), received);
    for (const to of new Set(stage.sends.map((crossing) => crossing.to))) {
      const names = stage.sends.filter((crossing) => crossing.to === to).map(({ name }) => name);
      await this.link.send({ kind: 'forward', from: index, to, microBatch }, copies(made, names));
    }
    disposeOf(made);
  }

  private async backward({ stage: index, microBatch }: Pass): Promise<void> {
    const step = entryOf(this.steps, index, 'stage');
    const received = this.received.get(`${index} ${microBatch}`) ?? new Map<never, never>();
    const sent = await this.sentGradients(step.stage, microBatch);
    const micro = elementAt(this.micro, microBatch, 'micro-batch');
    const found = step.backward(micro, received, sent);
    tf.dispose([...sent.values()]);
    disposeOf(received);
    this.received.delete(`${index} ${microBatch}`);
    this.add(step, found, micro.share);
    for (const from of new Set(step.stage.receives.map((crossing) => crossing.from))) {
      const names = step.stage.receives.filter((crossing) => crossing.from === from).map(({ name }) => name);
      const values = names.flatMap((name) => {
        const gradient = found.received.get(name);
        return gradient ? [[name, { kind: 'device', dtype: 'float32', tensor: gradient }] as const] : [];
      });
      await this.link.send({ kind: 'backward', from: index, to: from, microBatch }, new Map(values));
    }
  }

  private async receive(stage: Stage, microBatch: number): Promise<Values> {
    const values = new Map<string, Value>();
    for (const from of new Set(stage.receives.map((crossing) => crossing.from)))
      for (const [name, value] of await this.link.receive({ kind: 'forward', from, to: stage.index, microBatch }))
        values.set(name, value);
    return values;
  }

  /** Sums over the stages that read a value. */
  private async sentGradients(stage: Stage, microBatch: number): Promise<ReadonlyMap<string, TfTensor>> {
    const sums = new Map<string, TfTensor>();
    for (const from of new Set(stage.sends.map((crossing) => crossing.to)))
      for (const [name, value] of await this.link.receive({ kind: 'backward', from, to: stage.index, microBatch }))
        if (value.kind === 'device') addTo(sums, name, value.tensor);
    return sums;
  }

  private add({ stage, otherParameters }: StageStep, found: BackwardResult, share: TfTensor): void {
    [...stage.parameters, ...otherParameters].forEach(({ name }, i) =>
      addTo(this.gradients, name, elementAt(found.parameters, i, 'gradient')),
    );
    for (const [name, tensor] of found.state) {
      addTo(this.state, name, tf.mul(tensor, share));
      tensor.dispose();
    }
    this.losses = this.losses.length === 0 ? found.losses : this.losses.map((loss, i) => sum(loss, found.losses[i]));
  }
}

/** Adds to a sum, which takes over the tensor. */
function addTo(sums: Map<string, TfTensor>, name: string, tensor: TfTensor): void {
  const before = sums.get(name);
  sums.set(name, before ? sum(before, tensor) : tensor);
}

/** Disposes of both. */
function sum(a: TfTensor, b: TfTensor | undefined): TfTensor {
  if (!b) return a;
  const added = tf.add(a, b);
  tf.dispose([a, b]);
  return added;
}

function copies(values: Values, names: readonly string[]): Values {
  return new Map(
    names.flatMap((name) => {
      const value = values.get(name);
      if (!value) return [];
      return [[name, value.kind === 'device' ? { ...value, tensor: value.tensor.clone() } : value] as const];
    }),
  );
}

function disposeOf(values: Values): void {
  for (const value of values.values()) if (value.kind === 'device') value.tensor.dispose();
}
