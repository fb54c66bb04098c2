/** What a parameter server does with a gradient, on host values. The optimizers of training/optimizer.ts in JavaScript. */
import type { Training } from '../../../contracts/job-request.ts';
import { adamScalars, ADAM } from '../../weights/optimizer-scalars.ts';
import { entryOf } from '../../ir/checked-access.ts';
import { valuesOf, zerosLike, type Tensors } from './tensors.ts';

export interface UpdateSettings {
  /** Counts from 0 over the whole training. */
  readonly step: number;
  readonly learningRate: number;
  /** Workers whose contributions are averaged in this update. */
  readonly contributions: number;
  /** Workers that take part at present. */
  readonly members: number;
}

export interface UpdateRule {
  /** Changes the weights in place. */
  apply(weights: Tensors, gradient: Tensors, settings: UpdateSettings): void;
  /** State, by kind; part of a checkpoint. */
  readonly slots: ReadonlyMap<string, Tensors>;
}

export type OptimizerSettings = Pick<Training, 'optimizer' | 'momentum' | 'nesterov' | 'weightDecay'>;

/** @param decays names of the parameters that weight decay applies to */
export function optimizerRule(
  settings: OptimizerSettings,
  weights: Tensors,
  decays: ReadonlySet<string> = new Set(),
): UpdateRule {
  const { optimizer = 'adam', weightDecay = 0 } = settings;
  const decayOf = (name: string): number => (decays.has(name) ? weightDecay : 0);
  return optimizer === 'sgd'
    ? momentumRule(settings, weights, decayOf)
    : adamRule(weights, decayOf, optimizer === 'adamw');
}

type DecayOf = (name: string) => number;

function momentumRule(
  { momentum = 0.9, nesterov = false }: OptimizerSettings,
  weights: Tensors,
  decayOf: DecayOf,
): UpdateRule {
  const velocities = momentum === 0 ? null : zerosLike(weights);
  return {
    slots: new Map(velocities && [['momentum', velocities]]),
    apply: (values, gradient, { learningRate }) => {
      for (const [name, w] of values) {
        const g = valuesOf(gradient, name, w.length);
        const velocity = velocities && entryOf(velocities, name, 'momentum of');
        if (velocity) momentumUpdate(w, velocity, g, { rate: learningRate, momentum, nesterov, decay: decayOf(name) });
        else plainUpdate(w, g, learningRate, decayOf(name));
      }
    },
  };
}

/** w <- w - rate * (g + decay * w) */
function plainUpdate(w: Float32Array, g: Float32Array, rate: number, decay: number): void {
  for (let i = 0; i < w.length; i++) w[i]! -= rate * (g[i]! + decay * w[i]!);
}

interface MomentumUpdate {
  readonly rate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly decay: number;
}

/** v <- momentum * v + g; w <- w - rate * v (Nesterov: w <- w - rate * (g + momentum * v)) */
export function momentumUpdate(
  w: Float32Array,
  velocity: Float32Array,
  gradient: Float32Array,
  { rate, momentum, nesterov, decay }: MomentumUpdate,
): void {
  for (let i = 0; i < w.length; i++) {
    const g = gradient[i]! + decay * w[i]!;
    const v = momentum * velocity[i]! + g;
    velocity[i] = v;
    w[i]! -= rate * (nesterov ? g + momentum * v : v);
  }
}

/** Kingma and Ba 2014 (arXiv 1412.6980); decoupled: Loshchilov and Hutter 2017 (arXiv 1711.05101). */
function adamRule(weights: Tensors, decayOf: DecayOf, decoupled: boolean): UpdateRule {
  const [means, squares] = [zerosLike(weights), zerosLike(weights)];
  return {
    slots: new Map([
      ['mean', means],
      ['square', squares],
    ]),
    apply: (values, gradient, { step, learningRate }) => {
      for (const [name, w] of values) {
        const decay = decayOf(name);
        const [rate, root, keep] = adamScalars(step, learningRate, decoupled ? decay : 0);
        const g = valuesOf(gradient, name, w.length);
        const slots = { mean: entryOf(means, name, 'mean of'), square: entryOf(squares, name, 'square of') };
        adamUpdate(w, slots, g, { rate, root, keep, decay: decoupled ? 0 : decay });
      }
    },
  };
}

interface AdamUpdate {
  readonly rate: number;
  readonly root: number;
  readonly keep: number;
  readonly decay: number;
}

function adamUpdate(
  w: Float32Array,
  { mean, square }: { readonly mean: Float32Array; readonly square: Float32Array },
  gradient: Float32Array,
  { rate, root, keep, decay }: AdamUpdate,
): void {
  const { beta1, beta2, epsilon } = ADAM;
  for (let i = 0; i < w.length; i++) {
    const g = gradient[i]! + decay * w[i]!;
    const m = beta1 * mean[i]! + (1 - beta1) * g;
    const s = beta2 * square[i]! + (1 - beta2) * g * g;
    mean[i] = m;
    square[i] = s;
    w[i] = w[i]! * keep - (m * rate) / (Math.sqrt(s) * root + epsilon);
  }
}
