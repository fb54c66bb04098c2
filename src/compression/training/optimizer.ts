/**
 * Optimizers as functions of tensors, so that a whole step can be compiled: what changes from step to step comes in as scalars, state
 * lives in variables ("slots").
 *
 * Weight decay touches kernels and embeddings only. `sgd` and `adam` add it to the gradient (L2); `adamw` shrinks the weight by
 * rate * decay, apart from the gradient (Loshchilov & Hutter 2017, arXiv 1711.05101).
 */
import type { Training } from '../../contracts/job-request.ts';
import type { Parameter } from '../network/network.ts';
import { tf, type TfTensor, type TfVariable } from '../tensor/tf.ts';

export interface Optimizer {
  /** The step's scalars, in the order `update` takes them. `step` counts from 0. */
  scalars(step: number, learningRate: number): number[];
  /** State, in a fixed order. */
  readonly slots: readonly TfVariable[];
  /** The new value of parameter `index`; assigns its slots. */
  update(index: number, gradient: TfTensor, scalars: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

type OptimizerName = NonNullable<Training['optimizer']>;
type OptimizerSettings = Pick<Training, 'momentum' | 'nesterov' | 'weightDecay'>;

export function makeOptimizer(name: OptimizerName, settings: OptimizerSettings, parameters: readonly Parameter[]): Optimizer {
  return OPTIMIZERS[name](settings, parameters);
}

const OPTIMIZERS: Record<OptimizerName, (settings: OptimizerSettings, parameters: readonly Parameter[]) => Optimizer> = {
  sgd: momentumSgd,
  adam: (settings, parameters) => adam(settings, parameters, false),
  adamw: (settings, parameters) => adam(settings, parameters, true),
};

/** v <- momentum * v + g; w <- w - rate * v (Nesterov, in Sutskever's form: w <- w - rate * (g + momentum * v)). */
function momentumSgd({ momentum = 0.9, nesterov = false, weightDecay = 0 }: OptimizerSettings, parameters: readonly Parameter[]): Optimizer {
  const slots = momentum === 0 ? [] : parameters.map(({ variable }) => zerosLike(variable));
  return {
    slots,
    scalars: (_step, learningRate) => [learningRate],
    update: (index, gradient, [rate]) => {
      const parameter = parameters[index]!;
      const g = withL2(parameter, gradient, weightDecay);
      if (momentum === 0) return tf.sub(parameter.variable, tf.mul(g, rate!));
      const slot = slots[index]!;
      const velocity = tf.add(tf.mul(slot, momentum), g);
      slot.assign(velocity);
      const direction = nesterov ? tf.add(g, tf.mul(velocity, momentum)) : velocity;
      return tf.sub(parameter.variable, tf.mul(direction, rate!));
    },
    dispose: () => tf.dispose(slots),
  };
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** Kingma & Ba 2014, arXiv 1412.6980, algorithm 1; the bias corrections come in as scalars: rate / (1 - b1^t) and 1 / sqrt(1 - b2^t). */
function adam({ weightDecay = 0 }: OptimizerSettings, parameters: readonly Parameter[], decoupled: boolean): Optimizer {
  const means = parameters.map(({ variable }) => zerosLike(variable));
  const squares = parameters.map(({ variable }) => zerosLike(variable));
  return {
    slots: [...means, ...squares],
    scalars: (step, learningRate) => [learningRate / (1 - BETA1 ** (step + 1)), 1 / Math.sqrt(1 - BETA2 ** (step + 1)), 1 - learningRate * weightDecay],
    update: (index, gradient, [rate, root, keep]) => {
      const parameter = parameters[index]!;
      const g = decoupled ? gradient : withL2(parameter, gradient, weightDecay);
      const mean = tf.add(tf.mul(means[index]!, BETA1), tf.mul(g, 1 - BETA1));
      const square = tf.add(tf.mul(squares[index]!, BETA2), tf.mul(tf.square(g), 1 - BETA2));
      means[index]!.assign(mean);
      squares[index]!.assign(square);
      const change = tf.div(tf.mul(mean, rate!), tf.add(tf.mul(tf.sqrt(square), root!), EPSILON));
      const kept = decoupled && weightDecay > 0 && parameter.decays ? tf.mul(parameter.variable, keep!) : parameter.variable;
      return tf.sub(kept, change);
    },
    dispose: () => tf.dispose([...means, ...squares]),
  };
}

function withL2(parameter: Parameter, gradient: TfTensor, weightDecay: number): TfTensor {
  return weightDecay > 0 && parameter.decays ? tf.add(gradient, tf.mul(parameter.variable, weightDecay)) : gradient;
}

function zerosLike(variable: TfVariable): TfVariable {
  return tf.tidy(() => tf.variable(tf.zeros(variable.shape), false));
}

/** Scales all gradients so that their common norm is at most `limit` (Pascanu et al. 2012, arXiv 1211.5063). */
export function clipByGlobalNorm(gradients: readonly TfTensor[], limit: number): TfTensor[] {
  const norm = tf.sqrt(tf.addN(gradients.map((gradient) => tf.sum(tf.square(gradient)))));
  const scale = tf.div(limit, tf.maximum(norm, limit));
  return gradients.map((gradient) => tf.mul(gradient, scale));
}
