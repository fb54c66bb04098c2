/**
 * Sends only the largest values of a gradient; what is not sent is added to later ones. Deep gradient compression (Lin
 * et al. 2017, arXiv 1712.01887): momentum is taken by the worker, before the selection ("momentum correction"), and
 * forgotten where a value was sent ("momentum factor masking"); the server then uses none.
 */
import { entryOf } from '../../ir/checked-access.ts';
import { valuesOf, zerosLike, type Tensors } from './tensors.ts';

/** Of one tensor. */
export interface SparseValues {
  readonly length: number;
  /** Ascending. */
  readonly indices: Uint32Array;
  readonly values: Float32Array;
}

export type SparseTensors = ReadonlyMap<string, SparseValues>;

export interface TopKSettings {
  /** Share of each tensor's values that is sent, one at least. */
  readonly topK: number;
  /** Of the optimizer; 0: error feedback without momentum. */
  readonly momentum: number;
  readonly nesterov?: boolean;
}

export class TopKCompressor {
  readonly #settings: TopKSettings;
  readonly #velocity: Tensors;
  /** What has not been sent yet. */
  readonly residual: Tensors;

  constructor(like: Tensors, settings: TopKSettings) {
    this.#settings = settings;
    this.#velocity = zerosLike(like);
    this.residual = zerosLike(like);
  }

  /** @param topK for this gradient, if not the usual share (warm-up) */
  compress(gradient: Tensors, topK = this.#settings.topK): SparseTensors {
    return new Map(
      [...this.residual].map(([name, residual]) => {
        const velocity = entryOf(this.#velocity, name, 'momentum of');
        this.#accumulate(velocity, residual, valuesOf(gradient, name, residual.length));
        const sent = largest(residual, Math.max(1, Math.round(topK * residual.length)));
        for (const i of sent.indices) velocity[i] = residual[i] = 0;
        return [name, sent];
      }),
    );
  }

  /** u <- m * u + g; v <- v + u (Nesterov: u <- m * (u + g); v <- v + u + g) */
  #accumulate(u: Float32Array, v: Float32Array, gradient: Float32Array): void {
    const { momentum, nesterov = false } = this.#settings;
    for (let i = 0; i < u.length; i++) {
      const g = gradient[i]!;
      const next = nesterov ? momentum * (u[i]! + g) : momentum * u[i]! + g;
      u[i] = next;
      v[i]! += nesterov ? next + g : next;
    }
  }
}

/** The `count` values of the greatest magnitude; of equal ones at the limit those that come first. */
export function largest(values: Float32Array, count: number): SparseValues {
  const magnitudes = values.map(Math.abs).sort();
  const limit = magnitudes[Math.max(0, values.length - count)] ?? 0;
  const above = values.reduce((sum, value) => sum + Number(Math.abs(value) > limit), 0);
  const indices = new Uint32Array(Math.min(count, values.length));
  let [equal, at] = [indices.length - above, 0];
  values.forEach((value, i) => {
    const magnitude = Math.abs(value);
    if (magnitude > limit || (magnitude === limit && equal-- > 0)) indices[at++] = i;
  });
  return { length: values.length, indices, values: Float32Array.from(indices, (i) => values[i]!) };
}

export function toDense(sparse: SparseTensors): Tensors {
  return new Map(
    [...sparse].map(([name, { length, indices, values }]) => {
      const dense = new Float32Array(length);
      indices.forEach((index, i) => (dense[index] = values[i]!));
      return [name, dense];
    }),
  );
}
