/**
 * Attention divides its scores by the root of the size of its keys (Vaswani et al. 2017, eq. 1). The graph holds the
 * factor as it was trained, a Keras layer takes it from `key_dim`: where keys lost channels, the file's queries make up
 * for the difference.
 */
import { existing, itemOf } from '../../../ir/checked-access.ts';
import type { Node } from '../../../ir/types.ts';
import type { HostTensor } from '../../../ir/host-tensor.ts';
import type { AddressBook } from './addresses.ts';
import type { NewArray } from './new-array.ts';
import type { RecordedCall } from './resize.ts';

export interface ChangedScale {
  readonly layer: string;
  /** Kernel [dim, heads, size] and bias [heads, size] of the query. */
  readonly places: readonly string[];
  /** Size of the keys, as uploaded and now. */
  readonly from: number;
  readonly to: number;
}

const ATTENTION = new Set(['MultiHeadAttention', 'GroupQueryAttention', 'GroupedQueryAttention']);

export function changedScales(
  calls: readonly RecordedCall[],
  book: AddressBook,
  arrays: ReadonlyMap<string, NewArray>,
): ChangedScale[] {
  const layers = new Map(calls.map(({ layer }) => [layer.raw, layer]));
  return [...layers.values()]
    .filter(({ className }) => ATTENTION.has(className))
    .flatMap(({ raw, name, config }) => {
      const places = (book.layers.get(raw)?.places ?? []).slice(0, config['use_bias'] === false ? 1 : 2);
      const [query = ''] = places;
      const from = itemOf(book.array(query).dims, 2, 'the shape of the query kernel');
      const to = arrays.get(query)?.dims[2];
      return to === undefined || to === from ? [] : [{ layer: name, places, from, to }];
    });
}

/** The arrays as the file has to hold them: q / sqrt(from) = q' / sqrt(to). */
export function rescaled(
  arrays: ReadonlyMap<string, NewArray>,
  scales: readonly ChangedScale[],
): ReadonlyMap<string, NewArray> {
  const result = new Map(arrays);
  for (const { places, from, to } of scales) {
    for (const place of places)
      result.set(place, times(existing(arrays.get(place), `the array "${place}"`), Math.sqrt(to / from)));
  }
  return result;
}

const times = ({ dims, values }: NewArray, factor: number): NewArray => ({
  dims,
  values: values.map((value) => value * factor),
});

/** Whether a node multiplies by the factor as uploaded (`own`), where the file's layer has the one of its keys now. */
export function isChangedScale(
  { opType, name }: Node,
  own: HostTensor,
  read: HostTensor,
  scales: readonly ChangedScale[],
): boolean {
  const factor = (size: number): number => Math.fround(1 / Math.sqrt(size));
  return (
    opType === 'Mul' &&
    scales.some(
      ({ layer, from, to }) =>
        name.startsWith(`${layer}/scaled_query`) && single(own) === factor(from) && single(read) === factor(to),
    )
  );
}

const single = ({ dtype, dims, data }: HostTensor): number | undefined =>
  dims.length === 0 && dtype === 'float32' ? (data as Float32Array)[0] : undefined;
