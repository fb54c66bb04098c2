/**
 * One step of each recurrent cell. What does not depend on the state (x W, biases) is computed for all steps at once,
 * before.
 */
import { nth } from '../../ir/checked-access.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import type { Activation } from './activations.ts';

/** [batch, hidden] each; `c` for LSTM alone. */
export interface State {
  readonly h: TfTensor;
  readonly c: TfTensor | null;
}

/** The next state from x W^T + b [batch, gates * hidden] and the last state. */
export type Cell = (input: TfTensor, state: State) => State;

export interface CellWeights {
  /** [gates * hidden, hidden] */
  readonly r: TfTensor;
  /** GRU with `linear_before_reset`: the recurrent bias of the candidate, [hidden]. */
  readonly candidateBias?: TfTensor;
  /** LSTM's peepholes, [3 * hidden] in the order i, o, f. */
  readonly peepholes?: TfTensor | null;
  readonly inputForget?: boolean;
}

/** h' = f(x W + h R + b) */
export function rnnCell({ r }: CellWeights, activations: readonly Activation[]): Cell {
  const f = nth(activations, 0);
  return (input, { h }) => ({ h: f(tf.add(input, product(h, r))), c: null });
}

/** Gates z, r, h (Cho et al., 2014). h' = (1 - z) * candidate + z * h */
export function gruCell({ r, candidateBias }: CellWeights, activations: readonly Activation[]): Cell {
  const [f, g] = [nth(activations, 0), nth(activations, 1)];
  const hidden = nth(r.shape, 1);
  const gates = tf.slice(r, [0, 0], [2 * hidden, hidden]);
  const candidate = tf.slice(r, [2 * hidden, 0], [hidden, hidden]);
  return (input, { h }) => {
    const [zr, x] = tf.split(input, [2 * hidden, hidden], 1) as [TfTensor, TfTensor];
    const [z, reset] = tf.split(f(tf.add(zr, product(h, gates))), 2, 1) as [TfTensor, TfTensor];
    const inner = candidateBias
      ? tf.mul(reset, tf.add(product(h, candidate), candidateBias))
      : product(tf.mul(reset, h), candidate);
    const next = g(tf.add(x, inner));
    return { h: tf.add(next, tf.mul(z, tf.sub(h, next))), c: null };
  };
}

/** Gates i, o, f, c (Hochreiter and Schmidhuber, 1997; peepholes: Gers et al., 2002). */
export function lstmCell({ r, peepholes, inputForget }: CellWeights, activations: readonly Activation[]): Cell {
  const [f, g, h] = [nth(activations, 0), nth(activations, 1), nth(activations, 2)];
  const [pi, po, pf] = peepholes ? (tf.split(peepholes, 3) as [TfTensor, TfTensor, TfTensor]) : [null, null, null];
  const peep = (x: TfTensor, p: TfTensor | null, c: TfTensor): TfTensor => (p ? tf.add(x, tf.mul(p, c)) : x);
  return (input, state) => {
    const c = state.c!;
    const [xi, xo, xf, xc] = tf.split(tf.add(input, product(state.h, r)), 4, 1) as [
      TfTensor,
      TfTensor,
      TfTensor,
      TfTensor,
    ];
    const i = f(peep(xi, pi, c));
    const forget = inputForget ? tf.sub(1, i) : f(peep(xf, pf, c));
    const next = tf.add(tf.mul(forget, c), tf.mul(i, g(xc)));
    return { h: tf.mul(f(peep(xo, po, next)), h(next)), c: next };
  };
}

function product(h: TfTensor, r: TfTensor): TfTensor {
  return tf.matMul(h, r, false, true);
}
