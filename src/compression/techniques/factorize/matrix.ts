/** Products with a constant matrix: x W = (x A) B with A B the nearest to W of its rank (Eckart & Young 1936). */
import { elementAt, inputName, outputName } from '../../ir/checked-access.ts';
import { makeNode } from '../../ir/edit.ts';
import { fromHost, hostOf, hostNumbers, toHost } from '../../ir/tensor-data.ts';
import type { Node, Tensor } from '../../ir/types.ts';
import { readFromEngine, svd } from '../../tensor/svd.ts';
import { tf } from '../../tensor/tf.ts';
import {
  lostEnergy,
  rankFor,
  type Factorization,
  type LayerCost,
  type Replacement,
  type Target,
} from './factorization.ts';

export interface Factors {
  /** [rows, k], each column times the root of its singular value. */
  readonly left: Float32Array;
  /** [columns, k], likewise. */
  readonly right: Float32Array;
  readonly values: Float32Array;
}

/** left right^T of a matrix [rows, columns], of all ranks. */
export function balancedFactors(matrix: ArrayLike<number>, rows: number, columns: number): Factors {
  return readFromEngine(() => {
    const { left, values, right } = svd(tf.tensor2d(Float32Array.from(matrix), [rows, columns]));
    const roots = tf.sqrt(values);
    const read = (tensor: typeof left): Float32Array => tensor.dataSync() as Float32Array;
    return { left: read(tf.mul(left, roots)), right: read(tf.mul(right, roots)), values: read(values) };
  });
}

/** The first `rank` columns of a matrix [rows, k]. */
export function firstColumns(matrix: Float32Array, rank: number, k: number): Float32Array {
  return Float32Array.from(
    { length: (matrix.length / k) * rank },
    (_, i) => matrix[Math.floor(i / rank) * k + (i % rank)]!,
  );
}

/** [rows, columns] -> [columns, rows] */
export function transposed(matrix: ArrayLike<number>, rows: number): Float32Array {
  const columns = matrix.length / rows;
  return Float32Array.from({ length: matrix.length }, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!);
}

/** A Gemm or MatMul with the weight [inputs, outputs], or [outputs, inputs] where it is transposed. */
export function matrixFactorizations(
  node: Node,
  weight: Tensor,
  isTransposed: boolean,
  target: Target,
): { layer: LayerCost; found: Factorization[] } {
  const [inputs, outputs] = (isTransposed ? [...weight.dims].reverse() : weight.dims) as [number, number];
  const layer = { parameters: inputs * outputs, macs: inputs * outputs };
  const values = hostNumbers(toHost(weight));
  const factors = balancedFactors(isTransposed ? transposed(values, outputs) : values, inputs, outputs);
  const lost = lostEnergy(factors.values);
  const rank = rankFor(lost, inputs + outputs, layer, target);
  if (rank < 1) return { layer, found: [] };
  const cost = rank * (inputs + outputs);
  return {
    layer,
    found: [
      {
        parameters: cost,
        macs: cost,
        error: elementAt(lost, rank, 'rank'),
        replacement: (fresh) => twoProducts(node, weight, { factors, rank, fresh }),
      },
    ],
  };
}

interface TwoProducts {
  readonly factors: Factors;
  readonly rank: number;
  readonly fresh: (base: string) => string;
}

function twoProducts(
  node: Node,
  { name, dtype }: Tensor,
  { factors: { left, right, values }, rank, fresh }: TwoProducts,
): Replacement {
  const k = values.length;
  const first = fromHost(fresh(`${name}_first`), hostOf(dtype, [left.length / k, rank], firstColumns(left, rank, k)));
  const second = fromHost(
    fresh(`${name}_second`),
    hostOf(dtype, [rank, right.length / k], transposed(firstColumns(right, rank, k), right.length / k)),
  );
  const between = fresh(`${outputName(node)}_factor`);
  const attributes = new Map([...node.attributes].filter(([attribute]) => attribute !== 'transB'));
  return {
    nodes: [
      makeNode('MatMul', [inputName(node), first.name], [between], {}, { name: between }),
      { ...node, inputs: [between, second.name, ...node.inputs.slice(2)], attributes },
    ],
    tensors: [first, second],
  };
}
