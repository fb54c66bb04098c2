/** Small pieces of graph that the quantization methods share. */
import { fromHost, hostOf } from '../../ir/tensor-data.ts';
import { DATA_TYPES, type DataType, type Node, type Tensor } from '../../ir/types.ts';
import type { Affine } from '../../weights/affine.ts';

/** Collects what a method adds to the main graph. */
export interface Additions {
  readonly tensors: Tensor[];
  readonly nodes: Node[];
}

export const constant = (name: string, dtype: DataType, dims: readonly number[], values: readonly number[]): Tensor =>
  fromHost(name, hostOf(dtype, dims, values));

export const scaleTensor = (name: string, affines: readonly Affine[], dims: readonly number[]): Tensor =>
  constant(
    name,
    'float32',
    dims,
    affines.map(({ scale }) => scale),
  );

/** Smaller weights save nothing: codes, scale and unpacking nodes take as many bytes as the floats. */
export const MIN_ELEMENTS = 96;

/** The type as a value of Cast's `to`. */
export const FLOAT32 = DATA_TYPES.indexOf('float32');
