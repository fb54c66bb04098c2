/**
 * Sums of products that saturate in 16 bits.
 *
 * x86 processors without VNNI multiply 8-bit integers with VPMADDUBSW: it multiplies unsigned activations a by signed
 * weights w and adds the products of two neighbours, a1 w1 + a2 w2, with saturation to int16. onnxruntime (MLAS) uses
 * it for every product whose weights are int8 (int8 activations are shifted to uint8 first), with AVX2 and with AVX-512
 * alike. Since 0 <= a <= 255, a pair cannot saturate where its positive weights sum to at most 128 (255 * 128 = 32,640
 * <= 32,767) and its negative ones to at least -128. Processors with VNNI (VPDPBUSD) and ARM add in 32 bits. uint8
 * weights are exact everywhere: they are widened to 16 bits first (VPMADDWD), which is slower.
 */
import { intAttribute } from '../ir/node-attributes.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { Node } from '../ir/types.ts';

/** Largest sum of two neighbours' magnitudes that no activations can make saturate. */
export const MAX_PAIR_SUM = 128;

/**
 * Axes of a weight that one sum runs over, the slowest first. Runtimes lay the factors out along them, so that
 * neighbours meet in one instruction.
 */
export type SumOrder = readonly number[];

const CONVOLUTIONS: ReadonlySet<string> = new Set(['Conv', 'QLinearConv', 'ConvInteger']);
const GENERAL_PRODUCTS: ReadonlySet<string> = new Set(['Gemm', 'QGemm']);

/**
 * The orders in which a product's sums may be laid out; none where they cannot saturate. A convolution's factors are
 * laid out by position, then channel (MLAS, oneDNN), or by channel, then position. Depthwise kernels have no pairs:
 * MLAS multiplies them in 16 bits.
 *
 * @param node the operator that multiplies; what is not a convolution or a Gemm multiplies by matrices [..., k, n]
 * @param dims of the weight: [cout, cin / groups, ...k] of a convolution
 */
export function sumOrders(node: Node, dims: readonly number[]): readonly SumOrder[] {
  const rank = dims.length;
  if (CONVOLUTIONS.has(node.opType)) {
    if (dims[1] === 1 && intAttribute(node, 'group', 1) === dims[0]) return [];
    const positions = dims.map((_, axis) => axis).slice(2);
    return [
      [...positions, 1],
      [1, ...positions],
    ];
  }
  if (GENERAL_PRODUCTS.has(node.opType) && intAttribute(node, 'transB', 0) !== 0) return [[rank - 1]];
  return [[Math.max(0, rank - 2)]];
}

/**
 * Visits the offsets of every two neighbours of an order, wherever a pair may start: which two share an instruction is
 * up to the kernel. Neighbours come in order within each sum.
 */
export function eachNeighbour(
  dims: readonly number[],
  order: SumOrder,
  visit: (first: number, second: number) => void,
): void {
  const along = offsetsAlong(dims, order);
  const sums = offsetsAlong(
    dims,
    dims.map((_, axis) => axis).filter((axis) => !order.includes(axis)),
  );
  let previous: number | undefined;
  for (const offset of along) {
    if (previous !== undefined) for (const sum of sums) visit(sum + previous, sum + offset);
    previous = offset;
  }
}

/** Row-major offsets of all indices along these axes, the last axis fastest. */
function offsetsAlong(dims: readonly number[], axes: readonly number[]): Int32Array {
  let offsets = Int32Array.of(0);
  for (const axis of axes) {
    const stride = dims.slice(axis + 1).reduce((product, size) => product * size, 1);
    const size = elementAt(dims, axis, 'axis');
    const next = new Int32Array(offsets.length * size);
    let at = 0;
    for (const offset of offsets) for (let i = 0; i < size; i++) next[at++] = offset + i * stride;
    offsets = next;
  }
  return offsets;
}

/**
 * What decides on saturation: the sum of two neighbours' magnitudes where they have one sign, else the larger of them.
 */
export function pairMagnitude(first: number, second: number): number {
  return first * second > 0 ? Math.abs(first + second) : Math.max(Math.abs(first), Math.abs(second));
}
