/** What determines the time of a convolution or product in onnxruntime's kernels. */
import { intAttribute } from '../../../../ir/node-attributes.ts';
import { elementCount } from '../../../../ir/tensor-data.ts';
import type { Node } from '../../../../ir/types.ts';

/**
 * Kinds of layers with their own costs in a table. narrow: convolutions of fewer than four channels, whose image
 * becomes a matrix channel by channel; row: products with one row, which read each weight once.
 */
export const LAYER_KINDS = ['pointwise', 'spatial', 'grouped', 'narrow', 'depthwise', 'row', 'rows'] as const;
export type LayerKind = (typeof LAYER_KINDS)[number];

/** Counts for one sample. */
export interface LayerCounts {
  /** One: the constant cost of a call. */
  readonly calls: number;
  readonly macs: number;
  /** Multiply-accumulates with the output channels rounded up to vectors of 16. */
  readonly paddedMacs: number;
  /**
   * Multiply-accumulates of float convolutions whose channels are no multiples of 8, which onnxruntime does not compute
   * in blocks of channels.
   */
  readonly unblockedMacs: number;
  /** Elements of a convolution's im2col matrix. */
  readonly patches: number;
  /** Kernel rows copied into that matrix: one for each row of the kernel at each position. */
  readonly copies: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly weights: number;
}
export const COUNTS = [
  'calls',
  'macs',
  'paddedMacs',
  'unblockedMacs',
  'patches',
  'copies',
  'inputs',
  'outputs',
  'weights',
] as const satisfies readonly (keyof LayerCounts)[];

export interface Layer {
  readonly kind: LayerKind;
  readonly counts: LayerCounts;
}

/** With fewer channels in a group than this, a convolution is narrow, or costs as much as a depthwise one. */
const DENSE_CHANNELS = 4;
const VECTOR = 16;
const BLOCK = 8;
const padded = (channels: number) => Math.ceil(channels / VECTOR) * VECTOR;

/**
 * @param dims of the weight
 * @param inputs elements of one sample of the activation
 * @param outputs elements of one sample of the result
 */
export function layerOf(node: Node, dims: readonly number[], inputs: number, outputs: number): Layer {
  return node.opType === 'Conv'
    ? convolution(dims, intAttribute(node, 'group', 1), inputs, outputs)
    : product(node, dims, inputs);
}

function convolution(dims: readonly number[], group: number, inputs: number, outputs: number): Layer {
  const [channels, perGroup, ...kernel] = dims as [number, number, ...number[]];
  const taps = elementCount(kernel);
  const positions = outputs / channels;
  const macs = outputs * perGroup * taps;
  const spatial = taps > 1;
  const gathered = spatial || inputs > positions * perGroup * group; // with strides
  const narrow = perGroup < DENSE_CHANNELS;
  return {
    kind: group > 1 ? (narrow ? 'depthwise' : 'grouped') : !spatial ? 'pointwise' : narrow ? 'narrow' : 'spatial',
    counts: {
      calls: 1,
      macs,
      paddedMacs: (macs / channels) * group * padded(channels / group),
      inputs,
      outputs,
      weights: elementCount(dims),
      unblockedMacs: (channels / group) % BLOCK === 0 && perGroup % BLOCK === 0 ? 0 : macs,
      patches: gathered ? positions * taps * perGroup * group : 0,
      copies: gathered ? positions * elementCount(kernel.slice(0, -1)) * group : 0,
    },
  };
}

function product(node: Node, dims: readonly number[], inputs: number): Layer {
  const [k, n] = (node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0 ? [dims[1], dims[0]] : dims) as [
    number,
    number,
  ];
  const rows = inputs / k;
  return {
    kind: rows > 1 ? 'rows' : 'row',
    counts: {
      calls: 1,
      macs: rows * k * n,
      paddedMacs: rows * k * padded(n),
      unblockedMacs: 0,
      patches: 0,
      copies: 0,
      inputs,
      outputs: rows * n,
      weights: k * n,
    },
  };
}
