/**
 * Weights in blocks of few bits, each block with a scale and a zero point, as com.microsoft's MatMulNBits holds them.
 */
import { GraphError } from '../../ir/graph-error.ts';

export interface PackedBlocks {
  /** Bytes [n, blocks, block * bits / 8], the lowest bits first. */
  readonly codes: readonly number[];
  /** [n, blocks]. */
  readonly scales: readonly number[];
  /**
   * Packed as the codes are, each row beginning a byte, or one number a block; null: the middle of the codes' range.
   */
  readonly zeros: { readonly values: readonly number[]; readonly packed: boolean } | null;
  /** [k]: the block whose scale and zero point each position has; null: the one it lies in. */
  readonly groups: readonly number[] | null;
}

export interface BlockSizes {
  readonly k: number;
  readonly n: number;
  readonly bits: number;
  readonly block: number;
}

/** -> [n, k]. */
export function unpackBlocks(
  { codes, scales, zeros, groups }: PackedBlocks,
  { k, n, bits, block }: BlockSizes,
): Float32Array {
  if (8 % bits !== 0 || block < 1)
    throw new GraphError(`weights of ${bits} bits in blocks of ${block} are not defined`);
  const blocks = Math.ceil(k / block);
  const perByte = 8 / bits;
  const field = (bytes: readonly number[], start: number, index: number): number =>
    (bytes[start + Math.floor(index / perByte)]! >> ((index % perByte) * bits)) & (2 ** bits - 1);
  const zeroOf = (row: number, at: number): number => {
    if (!zeros) return 2 ** (bits - 1);
    return zeros.packed ? field(zeros.values, row * Math.ceil(blocks / perByte), at) : zeros.values[row * blocks + at]!;
  };
  const bytesPerBlock = block / perByte;
  const kernel = new Float32Array(n * k);
  for (let row = 0; row < n; row++)
    for (let i = 0; i < k; i++) {
      const own = Math.floor(i / block);
      const group = groups?.[i] ?? own;
      kernel[row * k + i] =
        (field(codes, (row * blocks + own) * bytesPerBlock, i % block) - zeroOf(row, group)) *
        scales[row * blocks + group]!;
    }
  return kernel;
}
