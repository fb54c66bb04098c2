/**
 * The plain LSTM over a whole sequence with a gradient of its own. Differentiating step by step costs a product for the
 * weights' gradient at every step; here the gradients of all steps' gates are kept and the weights' gradient is one
 * product over time and batch.
 */
import { nth } from '../../ir/checked-access.ts';
import { hasOwnKernels, rawOps } from '../../tensor/native/raw-op.ts';
import * as nn from '../../tensor/nn.ts';
import { saving, withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/**
 * inputs [steps, batch, 4 * hidden] (x W^T + b; gates i, o, f, c), r [4 * hidden, hidden], h and c [batch, hidden].
 * @returns [steps + 1, batch, hidden]: the hidden states, then the last cell state.
 */
export function lstmSequence(inputs: TfTensor, r: TfTensor, h0: TfTensor, c0: TfTensor): TfTensor {
  return hasOwnKernels() ? nativeSequence(inputs, r, h0, c0) : portableSequence(inputs, r, h0, c0);
}

/** The engine's kernels take each sample through all steps. */
function nativeSequence(inputs: TfTensor, r: TfTensor, h0: TfTensor, c0: TfTensor): TfTensor {
  return withGradient([inputs, r, h0, c0], (xs, weights, h, c) => {
    const [hs, cs, gates] = rawOps('LatheLstm', [xs, weights, h, c], {}, 3);
    return saving({
      value: hs,
      saved: [weights, h, c, hs, cs, gates],
      gradient: (dy, [w, first, cell, states, cells, activated]) => {
        const [dGates, dh, dc] = rawOps('LatheLstmGrad', [dy, w, cell, cells, activated], {}, 3);
        const before = tf.concat([tf.expandDims(first, 0), tf.slice(states, 0, nth(cells.shape, 0) - 1)]);
        return [dGates, weightGradient(dGates, before), dh, dc];
      },
    });
  });
}

/** One product over time and batch: gates [steps, batch, 4 * hidden], the states before them [steps, batch, hidden]. */
function weightGradient(gates: TfTensor, before: TfTensor): TfTensor {
  const rows = nth(before.shape, 0) * nth(before.shape, 1);
  return nn.matMul(
    tf.reshape(gates, [rows, nth(gates.shape, 2)]),
    tf.reshape(before, [rows, nth(before.shape, 2)]),
    true,
    false,
  );
}

function portableSequence(inputs: TfTensor, r: TfTensor, h0: TfTensor, c0: TfTensor): TfTensor {
  return withGradient([inputs, r, h0, c0], (xs, weights, first, cell) => {
    const tape: TimeStep[] = [];
    let [h, c] = [first, cell];
    const hs: TfTensor[] = [];
    for (const x of tf.unstack(xs)) {
      const step = forward(tf.add(x, tf.matMul(h, weights, false, true)), c);
      tape.push(step);
      c = step.c;
      h = tf.mul(step.o, step.tanh);
      hs.push(h);
    }
    const saved = [
      weights,
      first,
      cell,
      ...hs,
      ...tape.flatMap(({ sigmoids, g, c: next, tanh }) => [sigmoids, g, next, tanh]),
    ];
    return saving({ value: tf.stack([...hs, c]), saved, gradient: (dy, kept) => backward(dy, kept, hs.length) });
  });
}

interface TimeStep {
  /** sigmoid of gates i, o, f: [batch, 3 * hidden] */
  readonly sigmoids: TfTensor;
  readonly o: TfTensor;
  readonly g: TfTensor;
  readonly c: TfTensor;
  readonly tanh: TfTensor;
}

function forward(gates: TfTensor, c: TfTensor): TimeStep {
  const hidden = nth(c.shape, 1);
  const [rest, candidate] = tf.split(gates, [3 * hidden, hidden], 1) as [TfTensor, TfTensor];
  const sigmoids = tf.sigmoid(rest);
  const [i, o, f] = tf.split(sigmoids, 3, 1) as [TfTensor, TfTensor, TfTensor];
  const g = tf.tanh(candidate);
  const next = tf.add(tf.mul(f, c), tf.mul(i, g));
  return { sigmoids, o, g, c: next, tanh: tf.tanh(next) };
}

function backward(dy: TfTensor, saved: readonly TfTensor[], steps: number): TfTensor[] {
  const [r, h0, c0] = saved as [TfTensor, TfTensor, TfTensor];
  const hs = saved.slice(3, 3 + steps);
  const at = (t: number): TfTensor[] => saved.slice(3 + steps + 4 * t, 7 + steps + 4 * t);
  const outer = tf.unstack(dy);
  const gateGradients: TfTensor[] = [];
  let dh = tf.zerosLike(h0);
  let dc = nth(outer, steps);
  for (let t = steps - 1; t >= 0; t--) {
    const [sigmoids, g, , tanh] = at(t) as [TfTensor, TfTensor, TfTensor, TfTensor];
    const before = t > 0 ? at(t - 1)[2]! : c0;
    const [i, o, f] = tf.split(sigmoids, 3, 1) as [TfTensor, TfTensor, TfTensor];
    dh = tf.add(dh, outer[t]!);
    dc = tf.add(dc, tf.mul(tf.mul(dh, o), tf.sub(1, tf.square(tanh))));
    const straight = tf.concat([tf.mul(dc, g), tf.mul(dh, tanh), tf.mul(dc, before)], 1);
    const dGates = tf.concat(
      [tf.mul(straight, tf.mul(sigmoids, tf.sub(1, sigmoids))), tf.mul(tf.mul(dc, i), tf.sub(1, tf.square(g)))],
      1,
    );
    gateGradients.unshift(dGates);
    dh = tf.matMul(dGates, r);
    dc = tf.mul(dc, f);
  }
  const gates = tf.stack(gateGradients);
  const dr = weightGradient(gates, tf.stack([h0, ...hs.slice(0, -1)]));
  return [gates, dr, dh, dc];
}
