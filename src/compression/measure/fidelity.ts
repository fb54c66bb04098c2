/** How far a model's outputs are from the original's on the same inputs. */
import type { Fidelity } from '../../contracts/report.ts';
import { predictedClass } from './accuracy.ts';
import type { RuntimeOutput } from './session.ts';

export type Outputs = ReadonlyMap<string, RuntimeOutput>;

/** Stands for "no signal left": JSON has no minus infinity, and null says identical. */
const WORST_DB = -1000;

/** As the runtime computed it. */
export type PlainFidelity = Omit<Fidelity, 'exact'>;

export interface FidelityMeter {
  /** `rows`: samples of the batch that count (a fixed batch may be filled up). */
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
    for (let i = 0; i < Math.round(original.data.length * share); i++) {
      const value = original.data[i]!;
      const error = difference(value, comparable ? candidate.data[i]! : 0);
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
      const scores = [...original].find(
        ([, { dims }]) =>
          dims.length >= 2 && dims[0] === batch && dims.slice(1).filter((size) => size !== 1).length === 1,
      );
      const other = scores && candidate.get(scores[0]);
      if (scores && other?.data.length === scores[1].data.length) {
        const width = scores[1].data.length / batch;
        for (let row = 0; row < rows; row++) {
          const [from, to] = [row * width, (row + 1) * width];
          if (predictedClass(scores[1].data.subarray(from, to)) === predictedClass(other.data.subarray(from, to)))
            agreed++;
        }
        classified += rows;
      }
      const labels =
        floats.length === 0 && !scores
          ? [...original].find(([, { dims }]) => dims.length === 1 && dims[0] === batch)
          : undefined;
      if (labels) {
        const others = candidate.get(labels[0])?.data;
        for (let row = 0; row < rows; row++) if (labels[1].data[row] === others?.[row]) agreed++;
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

/** |a - b|; equal infinities and NaNs do not differ, unequal ones differ without bound. */
function difference(a: number, b: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  const error = Math.abs(a - b);
  return Number.isNaN(error) ? Infinity : error;
}
