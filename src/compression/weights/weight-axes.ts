/** Which constant inputs of an operator are weights, and their axes of output channels and of summation. */
import type { Node } from '../ir/types.ts';
import { intAttribute } from '../ir/node-attributes.ts';

export interface WeightAxes {
  /** null: no axis of output channels. */
  readonly channel: number | null;
  /** Axis of the products' sum, for blocks. */
  readonly sum: number | null;
}

type Rule = (node: Node, rank: number) => WeightAxes;

/** By operator, then by input. Kernels only: biases and running statistics are small and stay float. */
const RULES: Readonly<Record<string, Readonly<Record<number, Rule>>>> = {
  Conv: { 1: () => ({ channel: 0, sum: 1 }) },
  // [cin, cout / groups, ...k]: with groups, several groups share an index: a coarser scale, but a valid one.
  ConvTranspose: { 1: () => ({ channel: 1, sum: 0 }) },
  Gemm: {
    0: (node) => gemmAxes(intAttribute(node, 'transA', 0) !== 0 ? 1 : 0),
    1: (node) => gemmAxes(intAttribute(node, 'transB', 0) !== 0 ? 0 : 1),
  },
  MatMul: {
    0: (_node, rank) => ({ channel: rank < 2 ? null : rank - 2, sum: rank - 1 }),
    1: (_node, rank) => ({ channel: rank < 2 ? null : rank - 1, sum: Math.max(0, rank - 2) }),
  },
  // [directions, gates * hidden, inputs]
  LSTM: { 1: () => ({ channel: 1, sum: 2 }), 2: () => ({ channel: 1, sum: 2 }) },
  GRU: { 1: () => ({ channel: 1, sum: 2 }), 2: () => ({ channel: 1, sum: 2 }) },
  RNN: { 1: () => ({ channel: 1, sum: 2 }), 2: () => ({ channel: 1, sum: 2 }) },
  Gather: {
    0: (node, rank) => {
      const axis = (intAttribute(node, 'axis', 0) + rank) % rank;
      return { channel: axis, sum: rank === 2 ? 1 - axis : null };
    },
  },
  'com.microsoft.FusedMatMul': {
    0: (node) => gemmAxes(intAttribute(node, 'transA', 0) !== 0 ? 1 : 0),
    1: (node) => gemmAxes(intAttribute(node, 'transB', 0) !== 0 ? 0 : 1),
  },
  'com.microsoft.Attention': { 1: () => ({ channel: 1, sum: 0 }) },
  // words, positions, segments
  'com.microsoft.EmbedLayerNormalization': {
    2: () => ({ channel: 0, sum: 1 }),
    3: () => ({ channel: 0, sum: 1 }),
    4: () => ({ channel: 0, sum: 1 }),
  },
  Einsum: { 0: () => ({ channel: null, sum: null }), 1: () => ({ channel: null, sum: null }) },
};

/**
 * Operators that only move data, which exporters put between a weight and its product. Any grouping is valid; rows are
 * a common one.
 */
const MOVERS: ReadonlySet<string> = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Unsqueeze',
  'Squeeze',
  'Slice',
  'Concat',
  'Split',
  'Flatten',
  'Expand',
  'Tile',
  'Gather',
]);

const gemmAxes = (channel: number): WeightAxes => ({ channel, sum: 1 - channel });

/** null if the input is not a weight. */
export function weightAxes(node: Node, input: number, rank: number): WeightAxes | null {
  const rule = RULES[node.domain === '' ? node.opType : `${node.domain}.${node.opType}`]?.[input];
  if (rule) return rule(node, rank);
  return node.domain === '' && MOVERS.has(node.opType) && rank >= 2 ? { channel: 0, sum: null } : null;
}
