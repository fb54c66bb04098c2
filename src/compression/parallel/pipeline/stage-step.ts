/** The passes of one stage as compiled steps. */
import { elementAt } from '../../ir/checked-access.ts';
import type { Parameter } from '../../network/network.ts';
import type { Stage, StageGradients, Values } from '../../network/stages/stage.ts';
import type { Value } from '../../operators/operator.ts';
import { compileStep, type CompiledStep } from '../../tensor/compile.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { feedsOf } from '../../training/feeds.ts';
import { stepVariables, termView, weightedSum, type TrainingStepParts } from '../../training/step.ts';

/** What every stage is given of a micro-batch. */
export interface MicroBatchTensors {
  /** The model's inputs in its order, the target last, where there is one. */
  readonly batch: readonly TfTensor[];
  /** int32 [2] */
  readonly seed: TfTensor;
  /** Scalar: its share of the batch's samples, by which the loss is multiplied. */
  readonly share: TfTensor;
}

export interface BackwardResult {
  /** In the last stage: the sum of the losses, then each, all times the share. */
  readonly losses: TfTensor[];
  /** Of the stage's parameters; in the last stage, of the terms' own too. */
  readonly parameters: TfTensor[];
  readonly state: ReadonlyMap<string, TfTensor>;
  readonly received: ReadonlyMap<string, TfTensor>;
}

/** Tensors by name, in a fixed order for a compiled step. */
type Named = readonly (readonly [string, TfTensor])[];

export class StageStep {
  readonly stage: Stage;
  private readonly parts: TrainingStepParts;
  /** It computes the loss. */
  readonly isLast: boolean;
  private readonly compiled = new Map<string, { step: CompiledStep; form: Form }>();

  constructor(stage: Stage, parts: TrainingStepParts, isLast: boolean) {
    this.stage = stage;
    this.parts = parts;
    this.isLast = isLast;
  }

  /** In the last stage: parameters of terms, which are part of no model. */
  get otherParameters(): readonly Parameter[] {
    return this.isLast ? this.parts.terms.flatMap(({ parameters }) => parameters ?? []) : [];
  }

  /** What the stage sends. The caller disposes of it. */
  forward(micro: MicroBatchTensors, received: Values): Values {
    return this.run('forward', micro, { received, gradients: [] }, (given, feeds) => {
      const outputs = this.stage.forward(feeds, { training: true, seed: given.seed });
      return [...outputs];
    });
  }

  /** @param sent gradients of what the stage sent */
  backward(micro: MicroBatchTensors, received: Values, sent: ReadonlyMap<string, TfTensor>): BackwardResult {
    const values = this.run('backward', micro, { received, gradients: [...sent] }, (given, feeds, gradients) => {
      const losses: TfTensor[] = [];
      const found = this.isLast
        ? this.fromLoss(given, feeds, losses)
        : this.stage.backward(feeds, { training: true, seed: given.seed }, new Map(gradients));
      return named(found, losses);
    });
    return unnamed(values);
  }

  dispose(): void {
    for (const { step } of this.compiled.values()) step.dispose();
    this.stage.dispose();
  }

  private fromLoss({ batch, seed, share }: MicroBatchTensors, feeds: Values, losses: TfTensor[]): StageGradients {
    const { network, terms } = this.parts;
    const whole = feedsOf(network, batch);
    const prepared = terms.map((term) => term.prepare?.(whole) ?? []);
    const scalar = (outputs: Values): TfTensor => {
      const each = terms.map((term, i) =>
        term.loss(termView({ ...whole, outputs, prepared: elementAt(prepared, i, 'prepared term') })),
      );
      const shared = [weightedSum(terms, each), ...each].map((loss) => tf.mul(loss, share));
      losses.push(...shared.map((loss) => tf.keep(loss)));
      return elementAt(shared, 0, 'loss');
    };
    const found = this.stage.differentiate(
      feeds,
      { training: true, seed },
      scalar,
      this.otherParameters.map(({ variable }) => variable),
    );
    const kept = losses.splice(0); // outlived the tape's own scope
    losses.push(...kept.map((loss) => loss.clone()));
    tf.dispose(kept);
    return found;
  }

  /**
   * One run of a pass, compiled for what its host values and the names of its tensors are: shapes that the graph
   * computes with are constants of the compiled step.
   */
  private run(
    kind: string,
    micro: MicroBatchTensors,
    { received, gradients }: { received: Values; gradients: Named },
    compute: (
      given: MicroBatchTensors,
      feeds: Values,
      gradients: Named,
    ) => readonly (readonly [string, Value | TfTensor])[],
  ): Values {
    const device = [...received].flatMap(([name, value]) => (value.kind === 'device' ? [[name, value] as const] : []));
    const host = [...received].filter(([, { kind: of }]) => of === 'host');
    const inputs = [
      ...micro.batch,
      micro.seed,
      micro.share,
      ...device.map(([, { tensor }]) => tensor),
      ...gradients.map(([, tensor]) => tensor),
    ];
    const key = [
      kind,
      signature(host),
      device.map(([name]) => name).join('\n'),
      gradients.map(([name]) => name).join('\n'),
      inputs.map(({ shape }) => shape.join()).join(' '),
    ].join('|');
    const known = this.compiled.get(key);
    const form = known?.form ?? new Form();
    const step = (tensors: TfTensor[]): TfTensor[] => {
      const rest = tensors.slice(micro.batch.length);
      const [seed, share] = [elementAt(rest, 0, 'input'), elementAt(rest, 1, 'input')];
      const given = { batch: tensors.slice(0, micro.batch.length), seed, share };
      const values: [string, Value][] = device.map(([name, { dtype }], i) => [
        name,
        { kind: 'device', dtype, tensor: elementAt(rest, 2 + i, 'input') },
      ]);
      const feeds = new Map([...this.modelInputs(given.batch), ...host, ...values]);
      const own = gradients.map(([name], i) => [name, elementAt(rest, 2 + device.length + i, 'input')] as const);
      return form.take(compute(given, feeds, own));
    };
    const entry = known ?? { form, step: compileStep({ inputs, variables: stepVariables(this.parts), step }) };
    this.compiled.set(key, entry);
    return form.give(entry.step.run(inputs));
  }

  private modelInputs(batch: readonly TfTensor[]): Values {
    const { feeds } = feedsOf(this.parts.network, batch);
    return new Map([...feeds].filter(([name]) => this.stage.inputs.includes(name)));
  }
}

/** Which results of a pass are tensors, under which names; the values of the others, which a compiled run does not make. */
class Form {
  private items: readonly (readonly [string, Value])[] = [];

  take(named: readonly (readonly [string, Value | TfTensor])[]): TfTensor[] {
    const values = named.map(
      ([name, item]) =>
        [name, 'kind' in item ? item : ({ kind: 'device', dtype: 'float32', tensor: item } as const)] as const,
    );
    this.items = values;
    return values.flatMap(([, value]) => (value.kind === 'device' ? [value.tensor.clone()] : []));
  }

  give(tensors: readonly TfTensor[]): Values {
    let next = 0;
    return new Map(
      this.items.map(([name, made]): [string, Value] => {
        if (made.kind === 'host') return [name, made];
        return [name, { kind: 'device', dtype: made.dtype, tensor: elementAt(tensors, next++, 'result') }];
      }),
    );
  }
}

const named = (found: StageGradients, losses: readonly TfTensor[]): (readonly [string, TfTensor])[] => [
  ...losses.map((loss, i) => [`loss ${i}`, loss] as const),
  ...found.parameters.map((gradient, i) => [`parameter ${i}`, gradient] as const),
  ...[...found.state].map(([name, tensor]) => [`state ${name}`, tensor] as const),
  ...[...found.received].map(([name, tensor]) => [`received ${name}`, tensor] as const),
];

function unnamed(values: Values): BackwardResult {
  const of = (kind: string): [string, TfTensor][] =>
    [...values].flatMap(([name, value]) =>
      name.startsWith(`${kind} `) && value.kind === 'device' ? [[name.slice(kind.length + 1), value.tensor]] : [],
    );
  return {
    losses: of('loss').map(([, tensor]) => tensor),
    parameters: of('parameter').map(([, tensor]) => tensor),
    state: new Map(of('state')),
    received: new Map(of('received')),
  };
}

function signature(host: readonly (readonly [string, Value])[]): string {
  return host
    .map(([name, value]) =>
      value.kind === 'host' ? `${name}:${value.value.dims.join()}:${String(value.value.data)}` : '',
    )
    .join(';');
}
