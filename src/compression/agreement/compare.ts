/** Compares two tensors. */
import { isFloat } from '../ir/tensor-data.ts';
import type { HostTensor } from '../ir/host-tensor.ts';

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/**
 * Checks |got - want| <= absolute + relative * |want| everywhere; types other than floats must be equal.
 * @returns the first difference in words, or null.
 */
export function difference(got: HostTensor, want: HostTensor, tolerance: Tolerance): string | null {
  if (got.dtype !== want.dtype) return `is ${got.dtype}, should be ${want.dtype}`;
  if (got.dims.join() !== want.dims.join())
    return `is of shape [${got.dims.join(', ')}], should be [${want.dims.join(', ')}]`;
  const { relative, absolute } = isFloat(want.dtype) ? tolerance : { relative: 0, absolute: 0 };
  for (let i = 0; i < want.data.length; i++) {
    const [a, b] = [got.data[i], want.data[i]];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const off = Math.abs(Number(a) - Number(b));
    if (!(off <= absolute + relative * Math.abs(Number(b)))) return `element ${i} is ${a}, should be ${b}`;
  }
  return null;
}

/**
 * Largest difference relative to the range of what is wanted; infinite where shapes or special values differ. A range
 * counts as at least 1e-3 wide: probabilities of 1e-7 from a Sigmoid carry the rounding of a number near 1.
 */
export function relativeDifference(got: HostTensor, want: HostTensor): number {
  if (got.dims.join() !== want.dims.join()) return Infinity;
  let [min, max, off] = [Infinity, -Infinity, 0];
  for (let i = 0; i < want.data.length; i++) {
    const [a, b] = [Number(got.data[i]), Number(want.data[i])];
    if (Number.isFinite(b)) {
      min = Math.min(min, b);
      max = Math.max(max, b);
    }
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    off = Math.max(off, Number.isFinite(a) && Number.isFinite(b) ? Math.abs(a - b) : Infinity);
  }
  return off / Math.max(1e-3, max - min, Math.abs(max) || 0, Math.abs(min) || 0);
}
