/**
 * Optimizers as functions of tensors, so that a whole training step can be compiled: what changes from step to step is
 * passed as scalars, state lives in variables ("slots").
 *
 * Weight decay touches kernels and embeddings only. `sgd` and `adam` add it to the gradient (L2); `adamw` shrinks the
 * weight by rate * decay, apart from the gradient (Loshchilov & Hutter 2017, arXiv 1711.05101).
 */
import type { Training } from '../../contracts/job-request.ts';
import type { Parameter } from '../network/network.ts';
import { adamUpdate, momentumUpdate } from '../tensor/optimizer-kernels.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { byParameter, disposeAll, variablesLike, type NamedVariable } from './named-variable.ts';
import { ADAM, adamScalars } from '../weights/optimizer-scalars.ts';
import { elementAt, entryOf } from '../ir/checked-access.ts';

export interface Optimizer {
  /** The step's scalars, in the order `update` takes them. `step` counts from 0. */
  scalars(step: number, learningRate: number): number[];
  /** State, by parameter. */
  readonly slots: readonly NamedVariable[];
  /** The new value of a parameter; assigns its slots. */
  update(parameter: Parameter, gradient: TfTensor, scalars: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

type OptimizerName = NonNullable<Training['optimizer']>;
type OptimizerSettings = Pick<Training, 'momentum' | 'nesterov' | 'weightDecay'>;

export function makeOptimizer(
  name: OptimizerName,
  settings: OptimizerSettings,
  parameters: readonly Parameter[],
): Optimizer {
  return OPTIMIZERS[name](settings, parameters);
}

const OPTIMIZERS: Record<OptimizerName, (settings: OptimizerSettings, parameters: readonly Parameter[]) => Optimizer> =
  {
    sgd: momentumSgd,
    adam: (settings, parameters) => adam(settings, parameters, false),
    adamw: (settings, parameters) => adam(settings, parameters, true),
  };

function momentumSgd(
  { momentum = 0.9, nesterov = false, weightDecay = 0 }: OptimizerSettings,
  parameters: readonly Parameter[],
): Optimizer {
  const slots = momentum === 0 ? [] : variablesLike(parameters, 'momentum', 0);
  const velocities = byParameter(slots);
  return {
    slots,
    scalars: (_step, learningRate) => [learningRate],
    update: ({ name, variable, decays }, gradient, scalars) => {
      const rate = elementAt(scalars, 0, 'scalar');
      const decay = decays ? weightDecay : 0;
      const velocity = velocities.get(name);
      if (!velocity) return plainUpdate(variable, gradient, rate, decay);
      const next = momentumUpdate({ weight: variable, velocity, gradient, rate }, { momentum, nesterov, decay });
      velocity.assign(next.velocity);
      return next.weight;
    },
    dispose: () => disposeAll(slots),
  };
}

/** w <- w - rate * (g + decay * w) */
function plainUpdate(weight: TfTensor, gradient: TfTensor, rate: TfTensor, decay: number): TfTensor {
  const g = decay > 0 ? tf.add(gradient, tf.mul(weight, decay)) : gradient;
  return tf.sub(weight, tf.mul(g, rate));
}

function adam({ weightDecay = 0 }: OptimizerSettings, parameters: readonly Parameter[], decoupled: boolean): Optimizer {
  const slots = [...variablesLike(parameters, 'mean', 0), ...variablesLike(parameters, 'square', 0)];
  const means = byParameter(slots.slice(0, parameters.length));
  const squares = byParameter(slots.slice(parameters.length));
  return {
    slots,
    scalars: (step, learningRate) => [...adamScalars(step, learningRate, decoupled ? weightDecay : 0), 1],
    update: ({ name, variable, decays }, gradient, scalars) => {
      const scalar = (index: number): TfTensor => elementAt(scalars, index, 'scalar');
      const [mean, square] = [entryOf(means, name, 'mean of'), entryOf(squares, name, 'square of')];
      const input = {
        weight: variable,
        mean,
        square,
        gradient,
        rate: scalar(0),
        root: scalar(1),
        keep: scalar(decays ? 2 : 3),
      };
      const next = adamUpdate(input, { ...ADAM, decay: decays && !decoupled ? weightDecay : 0 });
      mean.assign(next.mean);
      square.assign(next.square);
      return next.weight;
    },
    dispose: () => disposeAll(slots),
  };
}

/** Scales all gradients so that their common norm is at most `limit` (Pascanu et al. 2012, arXiv 1211.5063). */
export function clipByGlobalNorm(gradients: readonly TfTensor[], limit: number): TfTensor[] {
  const norm = tf.sqrt(tf.addN(gradients.map((gradient) => tf.sum(tf.square(gradient)))));
  const scale = tf.div(limit, tf.maximum(norm, limit));
  return gradients.map((gradient) => tf.mul(gradient, scale));
}
