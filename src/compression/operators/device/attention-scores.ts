/**
 * Attention as single operations, for scores that are capped or returned and for results that are rounded to 16 bits.
 */
import * as nn from '../../tensor/nn.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { matMul } from '../matmul.ts';
import type { Bias } from './attention-bias.ts';
import { roundTo16 } from './rounding.ts';

/** Float types that the device holds as float32 and tells apart by their rounding. */
export type Precision = 'float16' | 'bfloat16' | null;

export interface Scoring {
  /** [b, n, rows, d], keys and values [b, n, columns, d]. */
  readonly query: TfTensor;
  readonly key: TfTensor;
  readonly value: TfTensor;
  readonly scale: number;
  /** Soft bound of the scores, cap * tanh(scores / cap); 0: none. */
  readonly cap: number;
  readonly bias: Bias | null;
  /** The types that every result is rounded to and that the softmax is computed in; null: float32. */
  readonly precision: Precision;
  readonly softmaxPrecision: Precision;
}

export interface Scores {
  readonly y: TfTensor;
  /** The scores: raw, capped, with what is added, and as shares: qk_matmul_output of modes 0 to 3. */
  readonly stages: readonly [TfTensor, TfTensor, TfTensor, TfTensor];
}

/** The steps of the standard's function body, rounded where it rounds. */
export function attendStepwise({ query, key, value, scale, cap, bias, precision, softmaxPrecision }: Scoring): Scores {
  const round = rounding(precision);
  const root = round(tf.scalar(Math.sqrt(scale)));
  const raw = round(matMul(round(tf.mul(query, root)), round(tf.mul(key, root)), false, true));
  const capped = cap > 0 ? round(tf.mul(round(tf.tanh(round(tf.div(raw, cap)))), cap)) : raw;
  const biased = bias ? round(tf.add(capped, bias.values)) : capped;
  const shares = round(softmaxIn(softmaxPrecision, withoutMasked(biased, bias, 0)));
  const weights = withoutMasked(shares, bias, 0);
  return { y: round(matMul(weights, value)), stages: [raw, capped, withoutMasked(biased, bias, -Infinity), weights] };
}

const rounding =
  (precision: Precision) =>
  (x: TfTensor): TfTensor =>
    precision ? roundTo16(x, precision) : x;

/** Along the last axis; with a precision every step of it is rounded: differences, powers, their sum and the shares. */
function softmaxIn(precision: Precision, x: TfTensor): TfTensor {
  if (!precision) return nn.softmax(x);
  const round = rounding(precision);
  const rounded = round(x);
  const powers = round(tf.exp(round(tf.sub(rounded, tf.max(rounded, -1, true)))));
  return round(tf.div(powers, round(tf.sum(powers, -1, true))));
}

function withoutMasked(x: TfTensor, bias: Bias | null, fill: number): TfTensor {
  return bias?.masked ? tf.where(bias.masked, tf.fill(x.shape, fill), x) : x;
}
