/** A recurrent operator over its sequence: directions, initial states, sequence lengths, both layouts. */
import { nth } from '../../ir/checked-access.ts';
import { GraphError } from '../../ir/graph-error.ts';
import * as nn from '../../tensor/nn.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import type { NodeInfo } from '../../ir/node-info.ts';
import type { RunContext } from '../operator.ts';
import { activationsOf, type Activations } from './activations.ts';
import { gruCell, lstmCell, rnnCell, type Cell, type State } from './cells.ts';
import { lstmSequence } from './lstm-gradient.ts';

export type Kind = 'RNN' | 'GRU' | 'LSTM';
export const GATES: Readonly<Record<Kind, number>> = { RNN: 1, GRU: 3, LSTM: 4 };
const DEFAULTS: Readonly<Record<Kind, readonly string[]>> = {
  RNN: ['Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
};

export function directionsOf(info: NodeInfo): number {
  const direction = info.string('direction', 'forward');
  if (!/^(forward|reverse|bidirectional)$/.test(direction))
    throw new GraphError(`direction "${direction}" is not known`);
  return direction === 'bidirectional' ? 2 : 1;
}

interface Result {
  /** [steps, batch, hidden] */
  readonly ys: TfTensor;
  readonly last: State;
}

export function runRecurrent(kind: Kind): (ctx: RunContext) => TfTensor[] {
  return (ctx) => {
    const batchFirst = ctx.int('layout', 0) === 1;
    const x = batchFirst ? tf.transpose(ctx.tensor(0), [1, 0, 2]) : ctx.tensor(0);
    const directions = directionsOf(ctx);
    const activations = activationsOf(ctx, DEFAULTS[kind], directions);
    const results = activations.map((functions, d) =>
      runDirection(ctx, { kind, x, d, activations: functions, batchFirst }),
    );
    const states = (select: (state: State) => TfTensor): TfTensor =>
      stack(
        results.map(({ last }) => select(last)),
        batchFirst ? 1 : 0,
      );
    const ys = stack(
      results.map(({ ys }) => ys),
      1,
    ); // [steps, directions, batch, hidden]
    return [
      batchFirst ? tf.transpose(ys, [2, 0, 1, 3]) : ys,
      states(({ h }) => h),
      ...(kind === 'LSTM' ? [states(({ c }) => c!)] : []),
    ];
  };
}

/** One direction alone is not copied. */
function stack(parts: TfTensor[], axis: number): TfTensor {
  return parts.length === 1 ? tf.expandDims(nth(parts, 0), axis) : tf.stack(parts, axis);
}

interface DirectionRun {
  readonly kind: Kind;
  readonly x: TfTensor;
  readonly d: number;
  readonly activations: Activations;
  readonly batchFirst: boolean;
}

function runDirection(ctx: RunContext, { kind, x, d, activations, batchFirst }: DirectionRun): Result {
  const [steps, batch] = x.shape as [number, number];
  const weight = (input: number): TfTensor => tf.squeeze(tf.slice(ctx.tensor(input), d, 1), [0]);
  const part = (input: number): TfTensor | null => (ctx.has(input) ? weight(input) : null);
  const initial = (input: number, hidden: number): TfTensor => {
    if (!ctx.has(input)) return tf.zeros([batch, hidden]);
    return tf.squeeze(
      batchFirst ? tf.slice(ctx.tensor(input), [0, d, 0], [-1, 1, -1]) : tf.slice(ctx.tensor(input), d, 1),
      [batchFirst ? 1 : 0],
    );
  };
  const [w, r, bias] = [weight(1), weight(2), part(3)];
  const hidden = nth(r.shape, 1);
  const reverse = d === 1 || ctx.string('direction', 'forward') === 'reverse';
  const lengths = ctx.has(4) ? ctx.hostInts(4) : null;
  const late = kind === 'GRU' && ctx.int('linear_before_reset', 0) !== 0;
  const { inputs, candidateBias } = inputProducts({ x, w, bias, hidden, gates: GATES[kind], late });
  const state: State = { h: initial(5, hidden), c: kind === 'LSTM' ? initial(6, hidden) : null };
  const peepholes = kind === 'LSTM' ? part(7) : null;
  const inputForget = kind === 'LSTM' && ctx.int('input_forget', 0) !== 0;
  const ragged = lengths !== null && lengths.some((length) => length !== steps);
  if (kind === 'LSTM' && activations.standard && !peepholes && !inputForget && !ragged && steps > 0)
    return wholeLstm(inputs, r, state, reverse);
  const make = kind === 'LSTM' ? lstmCell : kind === 'GRU' ? gruCell : rnnCell;
  return unroll(make({ r, candidateBias, peepholes, inputForget }, activations.functions), {
    inputs,
    first: state,
    reverse,
    lengths: ragged ? lengths : null,
  });
}

interface InputProducts {
  readonly x: TfTensor;
  readonly w: TfTensor;
  readonly bias: TfTensor | null;
  readonly hidden: number;
  readonly gates: number;
  readonly late: boolean;
}

/** x W^T + b for all steps in one product: [steps, batch, gates * hidden]. */
function inputProducts({ x, w, bias, hidden, gates, late }: InputProducts): {
  inputs: TfTensor;
  candidateBias?: TfTensor;
} {
  const [steps, batch, size] = x.shape as [number, number, number];
  const product = nn.matMul(tf.reshape(x, [steps * batch, size]), w, false, true);
  const inSteps = (rows: TfTensor): TfTensor => tf.reshape(rows, [steps, batch, gates * hidden]);
  if (!bias)
    return late ? { inputs: inSteps(product), candidateBias: tf.zeros([hidden]) } : { inputs: inSteps(product) };
  const [own, recurrent] = tf.split(bias, 2) as [TfTensor, TfTensor];
  if (!late) return { inputs: inSteps(nn.biasAdd(product, tf.add(own, recurrent))) };
  const [early, candidateBias] = tf.split(recurrent, [2 * hidden, hidden]) as [TfTensor, TfTensor];
  return { inputs: inSteps(nn.biasAdd(product, tf.add(own, tf.pad(early, [[0, hidden]])))), candidateBias };
}

function wholeLstm(inputs: TfTensor, r: TfTensor, state: State, reverse: boolean): Result {
  const steps = nth(inputs.shape, 0);
  const all = lstmSequence(reverse ? tf.reverse(inputs, 0) : inputs, r, state.h, state.c!);
  const hs = tf.slice(all, 0, steps);
  const row = (t: number): TfTensor => tf.squeeze(tf.slice(all, t, 1), [0]);
  return { ys: reverse ? tf.reverse(hs, 0) : hs, last: { h: row(steps - 1), c: row(steps) } };
}

interface Unrolling {
  readonly inputs: TfTensor;
  readonly first: State;
  readonly reverse: boolean;
  readonly lengths: readonly number[] | null;
}

/**
 * Beyond a sequence's length its state stays and its output is zero, so a sequence read backwards begins at its own
 * end.
 */
function unroll(cell: Cell, { inputs, first, reverse, lengths }: Unrolling): Result {
  const xs = inputs.shape[0] === 0 ? [] : tf.unstack(inputs);
  const ys: TfTensor[] = [];
  let state = first;
  for (let i = 0; i < xs.length; i++) {
    const t = reverse ? xs.length - 1 - i : i;
    const next = cell(xs[t]!, state);
    const alive =
      lengths &&
      tf.tensor2d(
        lengths.map((length) => [t < length ? 1 : 0]),
        [lengths.length, 1],
      );
    ys[t] = alive ? tf.mul(next.h, alive) : next.h;
    state = alive ? { h: mix(alive, next.h, state.h), c: next.c && mix(alive, next.c, state.c!) } : next;
  }
  const empty = tf.zeros([0, ...first.h.shape]);
  return { ys: ys.length > 0 ? tf.stack(ys) : empty, last: state };
}

function mix(alive: TfTensor, next: TfTensor, before: TfTensor): TfTensor {
  return tf.add(before, tf.mul(alive, tf.sub(next, before)));
}
