/**
 * Warns of weights that are NaN, left by a training run that diverged: no step can start from them. Infinities are
 * valid, since masks hold them.
 */
import type { ModelDescription } from '../../contracts/model.ts';
import { isFloat, toHost } from '../ir/tensor-data.ts';
import type { Tensor } from '../ir/types.ts';

/** `nan-weights`, with the number of values and the first weight that has any. */
export function nanWarnings(weights: readonly Tensor[]): ModelDescription['warnings'] {
  const found = weights
    .filter(({ dtype }) => isFloat(dtype))
    .map((tensor) => ({ tensor, count: countNaN(tensor) }))
    .filter(({ count }) => count > 0);
  const [first] = found;
  if (!first) return [];
  const values = found.reduce((sum, { count }) => sum + count, 0);
  return [
    {
      code: 'nan-weights',
      message:
        `${values} ${values === 1 ? 'value is' : 'values are'} NaN in weight ` +
        `"${first.tensor.name}"${found.length > 1 ? ` and ${found.length - 1} more` : ''}`,
    },
  ];
}

function countNaN(tensor: Tensor): number {
  let count = 0;
  const { data } = toHost(tensor);
  for (let i = 0; i < data.length; i++) if (Number.isNaN(data[i])) count++;
  return count;
}
