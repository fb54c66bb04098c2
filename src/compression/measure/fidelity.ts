/** How far a model's outputs are from the original's on the same inputs. */
import type { Fidelity } from '../../contracts/report.ts';
import { predictedClass } from './accuracy.ts';
import type { RuntimeOutput } from './session.ts';

export type Outputs = ReadonlyMap<string, RuntimeOutput>;

/** No signal left: JSON has no minus infinity, and null means identical. */
const WORST_DB = -1000;

/** As the runtime computed it. */
export type PlainFidelity = Omit<Fidelity, 'exact'>;

export interface FidelityMeter {
  /** `rows`: samples of the batch that count (a fixed batch may be padded). */
  add(original: Outputs, candidate: Outputs, rows: number, batch: number): void;
  result(): PlainFidelity;
}

const isFloat = ({ dtype }: RuntimeOutput) => dtype.startsWith('float');

/**
 * SQNR = 10 log10(sum s^2 / sum (s - c)^2) over all float outputs (all numeric outputs where none is float); top-1
 * agreement over the first output of the form [n, classes], without floats over labels [n].
 */
export function fidelityMeter(): FidelityMeter {
  let [signal, noise, worst, samples, agreed, classified] = [0, 0, 0, 0, 0, 0];
  const compare = (original: RuntimeOutput, candidate: RuntimeOutput | undefined, rows: number, batch: number) => {
    const share = original.dims[0] === batch && batch > 0 ? rows / batch : 1;
    const comparable = candidate?.data.length === original.data.length;
    const counted = Math.round(original.data.length * share);
    for (let i = 0; i < counted; i++) {
      const value = original.data[i]!; // hot: every element of the outputs
      const error = difference(value, comparable ? (candidate.data[i] ?? 0) : 0);
      if (Number.isFinite(value)) signal += value * value;
      noise += error * error;
      worst = Math.max(worst, error);
    }
  };
  return {
    add(original, candidate, rows, batch) {
      const floats = [...original].filter(([, output]) => isFloat(output));
      for (const [name, output] of floats.length > 0 ? floats : original)
        compare(output, candidate.get(name), rows, batch);
      const answer = answerOf(original, batch, floats.length > 0);
      const given = answer && candidate.get(answer.name);
      if (answer && (answer.kind === 'labels' || given?.data.length === answer.output.data.length)) {
        agreed += agreeingRows(answer, given, rows, batch);
        classified += rows;
      }
      samples += rows;
    },
    result: () => ({
      top1Agreement: classified > 0 ? agreed / classified : null,
      sqnrDb: noise === 0 ? null : signal === 0 || !Number.isFinite(noise) ? WORST_DB : 10 * Math.log10(signal / noise),
      maxAbsError: Number.isFinite(worst) ? worst : Number.MAX_VALUE,
      samples,
    }),
  };
}

/** The output whose class is compared. */
interface Answer {
  readonly kind: 'scores' | 'labels';
  readonly name: string;
  readonly output: RuntimeOutput;
}

/** The first output [n, classes] (axes of size 1 aside); without it, and without floats, the first [n]. */
function answerOf(outputs: Outputs, batch: number, hasFloats: boolean): Answer | null {
  for (const [name, output] of outputs) {
    const axes = output.dims.slice(1).filter((size) => size !== 1);
    if (output.dims.length >= 2 && output.dims[0] === batch && axes.length === 1)
      return { kind: 'scores', name, output };
  }
  if (hasFloats) return null;
  for (const [name, output] of outputs)
    if (output.dims.length === 1 && output.dims[0] === batch) return { kind: 'labels', name, output };
  return null;
}

/** Rows of the same class. */
function agreeingRows(
  { kind, output }: Answer,
  other: RuntimeOutput | null | undefined,
  rows: number,
  batch: number,
): number {
  const width = kind === 'scores' ? output.data.length / batch : 1;
  const classIn = (data: RuntimeOutput['data'] | undefined, row: number) =>
    kind === 'labels' ? data?.[row] : data && predictedClass(data.subarray(row * width, (row + 1) * width));
  let agreed = 0;
  for (let row = 0; row < rows; row++) if (classIn(output.data, row) === classIn(other?.data, row)) agreed++;
  return agreed;
}

/** |a - b|; equal infinities and NaNs do not differ, unequal ones differ without bound. */
function difference(a: number, b: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  const error = Math.abs(a - b);
  return Number.isNaN(error) ? Infinity : error;
}
