/** What is done to a layer's weight, one trial at a time. */
import { roundHalfEven } from '../../ir/number-formats.ts';
import { fromHost, toHost } from '../../ir/tensor-data.ts';
import type { Tensor } from '../../ir/types.ts';
import type { KernelWeight } from '../kernel-weights.ts';
import type { AnalyzeParameters } from './spec.ts';

export type Trial =
  | { readonly kind: 'prune'; readonly sparsity: number }
  | { readonly kind: 'int8'; readonly sparsity: null };

export function trialsOf({ of, sparsities }: Pick<AnalyzeParameters, 'of' | 'sparsities'>): Trial[] {
  const prune = [...sparsities].sort((a, b) => a - b).map((sparsity): Trial => ({ kind: 'prune', sparsity }));
  return of.flatMap((kind): Trial[] => (kind === 'prune' ? prune : [{ kind, sparsity: null }]));
}

/** The weight as the trial leaves it, in its own type and shape. */
export function attempted({ tensor, outputAxis }: KernelWeight, trial: Trial): Tensor {
  const host = toHost(tensor);
  const values = Float64Array.from(host.data as Float32Array);
  if (trial.kind === 'prune') zeroSmallest(values, Math.round(trial.sparsity * values.length));
  else roundToInt8(values, tensor.dims, outputAxis);
  return { ...tensor, bytes: fromHost(tensor.name, { ...host, data: values }).bytes };
}

/** Sets the `count` smallest magnitudes to zero; of equal ones, the first. */
function zeroSmallest(values: Float64Array, count: number): void {
  if (count === 0) return;
  const limit = values.map(Math.abs).sort()[count - 1]!;
  let ties = count - values.reduce((below, value) => below + Number(Math.abs(value) < limit), 0);
  values.forEach((value, i) => {
    if (Math.abs(value) < limit || (Math.abs(value) === limit && ties-- > 0)) values[i] = 0;
  });
}

const MOST = 127;

/**
 * Rounds to scale * {-127..127}, scale = largest magnitude of the output channel / 127 (of the whole weight where it
 * has no such axis).
 */
function roundToInt8(values: Float64Array, dims: readonly number[], outputAxis: number | null): void {
  const channels = outputAxis === null ? 1 : dims[outputAxis]!;
  const inner =
    outputAxis === null ? values.length : dims.slice(outputAxis + 1).reduce((product, dim) => product * dim, 1);
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  const largest = new Float64Array(channels);
  values.forEach((value, i) => {
    largest[channelOf(i)] = Math.max(largest[channelOf(i)]!, Math.abs(value));
  });
  const scales = largest.map((magnitude) => Math.fround(magnitude / MOST) || 1);
  values.forEach((value, i) => {
    const scale = scales[channelOf(i)]!;
    values[i] = Math.max(-MOST, Math.min(MOST, roundHalfEven(value / scale))) * scale;
  });
}
