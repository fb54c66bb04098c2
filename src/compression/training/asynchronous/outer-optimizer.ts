/** Delayed Nesterov (parallel/async/outer-optimizer.ts) on the engine's variables: its state is part of the checkpoint. */
import { elementAt, entryOf } from '../../ir/checked-access.ts';
import type { Parameter } from '../../network/network.ts';
import { OUTER, roundCounter } from '../../parallel/async/outer-optimizer.ts';
import type { UpdateSettings } from '../../parallel/async/update-rule.ts';
import { tf } from '../../tensor/tf.ts';
import { byParameter, disposeAll, variablesLike } from '../named-variable.ts';
import type { Optimizer } from '../optimizer.ts';

export interface OuterOptimizer extends Optimizer {
  /** The scalars of an update: the workers' share in it, and 1 where the momentum is due, else 0. */
  scalarsOf(settings: UpdateSettings): number[];
}

export function outerOptimizer(parameters: readonly Parameter[]): OuterOptimizer {
  const slots = [...variablesLike(parameters, 'outer-momentum', 0), ...variablesLike(parameters, 'outer-buffer', 0)];
  const velocities = byParameter(slots.slice(0, parameters.length));
  const buffers = byParameter(slots.slice(parameters.length));
  const { learningRate, momentum } = OUTER;
  const partOf = roundCounter();
  return {
    slots,
    scalars: () => [0, 0],
    scalarsOf: (settings) => {
      const { share, isDue } = partOf(settings);
      return [share, Number(isDue)];
    },
    update: ({ name, variable }, change, scalars) => {
      const [share, due] = [elementAt(scalars, 0, 'scalar'), elementAt(scalars, 1, 'scalar')];
      const [v, buffer] = [entryOf(velocities, name, 'momentum of'), entryOf(buffers, name, 'buffer of')];
      const part = tf.mul(change, share);
      const sum = tf.add(buffer, part);
      const next = tf.add(tf.mul(v, tf.sub(1, tf.mul(due, 1 - momentum))), tf.mul(sum, due));
      v.assign(next);
      buffer.assign(tf.mul(sum, tf.sub(1, due)));
      return tf.sub(variable, tf.mul(tf.add(part, tf.mul(next, tf.mul(due, momentum))), learningRate));
    },
    dispose: () => disposeAll(slots),
  };
}
