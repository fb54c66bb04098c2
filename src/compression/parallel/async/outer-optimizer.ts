/**
 * The outer optimizer of local SGD: what the server does with the change that a worker reached by many steps of its
 * own. With all workers in one update it is DiLoCo's Nesterov momentum (Douillard et al. 2023, arXiv 2311.08105); with
 * one at a time, delayed Nesterov (Liu et al. 2024, arXiv 2401.09135, algorithm 3 with c = 0): each change is applied at
 * once as its share of the workers', and the momentum, which lags too much if it grows with every late change, only
 * once as many have come as there are workers.
 */
import { entryOf } from '../../ir/checked-access.ts';
import { valuesOf, zerosLike, type Tensors } from './tensors.ts';
import type { UpdateRule, UpdateSettings } from './update-rule.ts';

export interface OuterSettings {
  readonly learningRate: number;
  readonly momentum: number;
}

/** DiLoCo's, found by its authors to do best. */
export const OUTER: OuterSettings = { learningRate: 0.7, momentum: 0.9 };

/** What an update is among those of a round, which ends once as many changes have come as there are workers. */
export interface RoundPart {
  /** Of the workers, in this update. */
  readonly share: number;
  /** The momentum is: the round ends. */
  readonly isDue: boolean;
}

/** Counts the changes of updates that follow each other. */
export function roundCounter(): (update: Pick<UpdateSettings, 'contributions' | 'members'>) => RoundPart {
  let buffered = 0;
  return ({ contributions, members }) => {
    buffered += contributions;
    const isDue = buffered >= members;
    if (isDue) buffered = 0;
    return { share: contributions / Math.max(members, contributions), isDue };
  };
}

export function delayedNesterov(weights: Tensors, { learningRate, momentum }: OuterSettings = OUTER): UpdateRule {
  const [velocities, buffers] = [zerosLike(weights), zerosLike(weights)];
  const partOf = roundCounter();
  return {
    slots: new Map([
      ['momentum', velocities],
      ['buffer', buffers],
    ]),
    apply: (values, change, settings) => {
      const part = partOf(settings);
      for (const [name, w] of values) {
        const slots = { v: entryOf(velocities, name, 'momentum of'), buffer: entryOf(buffers, name, 'buffer of') };
        shift(w, slots, valuesOf(change, name, w.length), { learningRate, momentum, ...part });
      }
    },
  };
}

type Shift = OuterSettings & RoundPart;

/** buffer <- buffer + share * change; where due v <- momentum * v + buffer; w <- w - rate * (share * change [+ momentum * v]) */
function shift(
  w: Float32Array,
  { v, buffer }: { readonly v: Float32Array; readonly buffer: Float32Array },
  change: Float32Array,
  { learningRate, momentum, share, isDue }: Shift,
): void {
  for (let i = 0; i < w.length; i++) {
    const part = share * change[i]!;
    const sum = buffer[i]! + part;
    buffer[i] = isDue ? 0 : sum;
    if (isDue) v[i] = momentum * v[i]! + sum;
    w[i]! -= learningRate * (isDue ? part + momentum * v[i]! : part);
  }
}
