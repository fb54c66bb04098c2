/**
 * Weights that are NaN: left by a training that diverged, and nothing that a step could start from. Infinities are let
 * pass: masks are made of them.
 */
import type { ModelDescription } from '../../contracts/model.ts';
import { isFloat, toHost } from '../ir/tensor-data.ts';
import type { Tensor } from '../ir/types.ts';

/** `nan-weights`, with how many values, and the first weight that has some. */
export function nanWarnings(weights: readonly Tensor[]): ModelDescription['warnings'] {
  const found = weights
    .filter(({ dtype }) => isFloat(dtype))
    .map((tensor) => ({ tensor, count: countNaN(tensor) }))
    .filter(({ count }) => count > 0);
  if (found.length === 0) return [];
  const values = found.reduce((sum, { count }) => sum + count, 0);
  return [
    {
      code: 'nan-weights',
      message:
        `${values} ${values === 1 ? 'value is' : 'values are'} NaN in weight ` +
        `"${found[0]!.tensor.name}"${found.length > 1 ? ` and ${found.length - 1} more` : ''}`,
    },
  ];
}

function countNaN(tensor: Tensor): number {
  let count = 0;
  const { data } = toHost(tensor);
  for (let i = 0; i < data.length; i++) if (Number.isNaN(data[i])) count++;
  return count;
}
