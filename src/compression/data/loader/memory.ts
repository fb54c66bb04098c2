/** The memory of a batch: one buffer, which holds the rows of each input and of the target. */
import { allocate, elementCount, ITEM_BYTES, type ArrayData, type ArrayDtype } from '../array-store.ts';
import type { HostArray } from '../dataset.ts';

export interface RowForm {
  readonly dtype: ArrayDtype;
  /** Of one sample. */
  readonly shape: readonly number[];
}

export interface BatchForm {
  readonly inputs: readonly (RowForm & { readonly name: string })[];
  readonly target: RowForm | null;
}

/** Arrays [n, ...] over one buffer, in the form's order. */
export interface BatchArrays {
  readonly inputs: readonly HostArray[];
  readonly target: HostArray | null;
}

/** Cache lines, which also suits every type. */
const ALIGNMENT = 64;

const bytesOf = ({ dtype, shape }: RowForm, rows: number): number =>
  Math.ceil((rows * elementCount(shape) * ITEM_BYTES[dtype]) / ALIGNMENT) * ALIGNMENT;

const partsOf = ({ inputs, target }: BatchForm): readonly RowForm[] => (target ? [...inputs, target] : inputs);

export function batchBytes(form: BatchForm, rows: number): number {
  return partsOf(form).reduce((sum, part) => sum + bytesOf(part, rows), 0);
}

export function batchArrays(form: BatchForm, rows: number, buffer: ArrayBufferLike): BatchArrays {
  let at = 0;
  const arrays = partsOf(form).map((part): HostArray => {
    const data = view(part.dtype, buffer, at, rows * elementCount(part.shape));
    at += bytesOf(part, rows);
    return { dtype: part.dtype, shape: [rows, ...part.shape], data };
  });
  return { inputs: arrays.slice(0, form.inputs.length), target: arrays[form.inputs.length] ?? null };
}

function view(dtype: ArrayDtype, buffer: ArrayBufferLike, at: number, length: number): ArrayData {
  const kind = allocate(dtype, 0).constructor as new (buffer: ArrayBufferLike, at: number, length: number) => ArrayData;
  return new kind(buffer, at, length);
}

/** Row `index` of an array. */
export function rowOf({ data, shape }: HostArray, index: number): ArrayData {
  const size = elementCount(shape.slice(1));
  return data.subarray(index * size, (index + 1) * size);
}
