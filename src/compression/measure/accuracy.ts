/** Accuracy and loss of a model's predictions (match.ts) against the labels of a split, accumulated by batch. */
import type { Accuracy } from '../../contracts/report.ts';
import type { HostArray } from '../data/dataset.ts';
import { elementCount } from '../data/array-store.ts';
import type { RuntimeOutput } from './session.ts';

/**
 * What a classifier's output holds, decided on the first batch. `labels`: the class itself instead of scores.
 */
type Scores = 'logits' | 'probabilities' | 'log-probabilities' | 'labels';

export interface AccuracyMeter {
  /** `rows`: how many of the output's rows count. */
  add(output: RuntimeOutput, target: HostArray, rows: number): void;
  result(split: string): Accuracy | null;
}

export function accuracyMeter(): AccuracyMeter {
  let [samples, correct, loss] = [0, 0, 0];
  let scores: Scores | null = null;
  let comparable = true;
  let classes = false;
  const addClasses = ({ data, dtype }: RuntimeOutput, target: HostArray, rows: number, width: number): void => {
    const kind = (scores ??= width === 1 && !dtype.includes('float') ? 'labels' : kindOfScores(data, width));
    for (let row = 0; row < rows; row++) {
      const values = data.subarray(row * width, (row + 1) * width);
      const label = Number(target.data[row]);
      if (predictedClass(values, kind) === label) correct++;
      loss += crossEntropy(values, label, kind);
    }
  };
  return {
    add(output, target, rows) {
      const width = rows === 0 ? 0 : output.data.length / (output.dims[0] ?? NaN);
      classes = target.dtype === 'int32';
      comparable &&= classes ? scoresOnly(output) : width === elementCount(target.shape.slice(1));
      if (!comparable) return;
      samples += rows;
      if (classes) {
        addClasses(output, target, rows, width);
        return;
      }
      for (let at = 0; at < rows * width; at += width)
        loss += meanSquare(output.data.subarray(at, at + width), target.data, at);
    },
    result: (split) =>
      samples === 0 || !comparable
        ? null
        : { top1: classes ? correct / samples : null, loss: finite(loss / samples), samples, split },
  };
}

/** JSON has no infinities: an infinite loss becomes the largest double. */
const finite = (value: number): number => (Number.isFinite(value) ? value : Number.MAX_VALUE);

/** [n, classes] with axes of size 1 aside. */
const scoresOnly = ({ dims }: RuntimeOutput): boolean =>
  dims.length > 0 && dims.slice(1).filter((size) => size !== 1).length <= 1;

function kindOfScores(data: RuntimeOutput['data'], width: number): Scores {
  const rows = Math.min(8, data.length / width);
  const every = (test: (values: RuntimeOutput['data']) => boolean) =>
    Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width)).every(test);
  if (width === 1) return every((values) => values.every((p) => p >= 0 && p <= 1)) ? 'probabilities' : 'logits';
  const total = (values: RuntimeOutput['data'], f: (value: number) => number) => {
    let sum = 0;
    for (const value of values) sum += f(value);
    return sum;
  };
  if (every((values) => values.every((p) => p >= 0) && Math.abs(total(values, (p) => p) - 1) < 1e-2))
    return 'probabilities';
  return every((values) => values.every((l) => l <= 0) && Math.abs(total(values, Math.exp) - 1) < 1e-2)
    ? 'log-probabilities'
    : 'logits';
}

/** Index of the largest value; the first of equals. One value alone is the score of class 1. */
export function predictedClass(values: ArrayLike<number>, scores: Scores = 'logits'): number {
  if (scores === 'labels') return Number(values[0]);
  if (values.length === 1) return Number(values[0]) > (scores === 'probabilities' ? 0.5 : 0) ? 1 : 0;
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

const MIN_PROBABILITY = 1e-12;

/** -log p(label) in nats; for labels, 1 where they are wrong. */
function crossEntropy(values: ArrayLike<number>, label: number, scores: Scores): number {
  if (scores === 'labels') return predictedClass(values, scores) === label ? 0 : 1;
  if (values.length === 1) {
    const score = Number(values[0]);
    const p = scores === 'probabilities' ? score : 1 / (1 + Math.exp(-score));
    return -Math.log(Math.max(label === 1 ? p : 1 - p, MIN_PROBABILITY));
  }
  const value = values[label];
  if (value === undefined) return -Math.log(MIN_PROBABILITY); // the model has no score for this label
  if (scores === 'probabilities') return -Math.log(Math.max(value, MIN_PROBABILITY));
  if (scores === 'log-probabilities') return -value;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) max = Math.max(max, values[i]!);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - max);
  return Math.log(sum) + max - value;
}

function meanSquare(values: ArrayLike<number>, target: HostArray['data'], at: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - Number(target[at + i])) ** 2;
  return sum / Math.max(1, values.length);
}
