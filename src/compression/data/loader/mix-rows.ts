/** Mixtures of two rows. */
import { LatheError } from '../../../errors.ts';
import { elementCount } from '../array-store.ts';
import type { HostArray } from '../dataset.ts';
import { rowOf } from './memory.ts';

/** `share` of row `a` and the rest of row `b`. */
export interface Mixture {
  readonly share: number;
  readonly a: number;
  readonly b: number;
}

/** Inputs that are no floats keep row `a`. */
export function mixRows(target: HostArray, row: number, source: HostArray, { share, a, b }: Mixture): void {
  const into = rowOf(target, row);
  const [first, second] = [rowOf(source, a), rowOf(source, b)];
  if (target.dtype !== 'float32') into.set(first as never);
  else
    for (let i = 0; i < into.length; i++) into[i] = share * (first[i] as number) + (1 - share) * (second[i] as number);
}

/** Values are mixed; classes become the share of each class, or of class 1 where the model gives one score. */
export function mixTargets(target: HostArray, row: number, source: HostArray, mixture: Mixture): void {
  if (source.dtype !== 'int32') {
    mixRows(target, row, source, mixture);
    return;
  }
  const into = rowOf(target, row) as Float32Array;
  const [first, second] = [Number(source.data[mixture.a]), Number(source.data[mixture.b])];
  if (target.shape.length === 1) into[0] = mixture.share * first + (1 - mixture.share) * second;
  else {
    checkClass(Math.max(first, second), elementCount(target.shape.slice(1)));
    into.fill(0);
    into[first]! += mixture.share;
    into[second]! += 1 - mixture.share;
  }
}

function checkClass(label: number, classes: number): void {
  if (label < classes) return;
  throw new LatheError('shape-mismatch', `class ${label} of the dataset is beyond the ${classes} scores of the model`);
}
