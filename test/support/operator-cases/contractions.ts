/** Operators without an exact host form, first part: convolutions, products, attention. */
import { exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const image = { image: true };
const ms = { domain: 'com.microsoft' };
const head = [x([2, 3, 5, 4]), x([2, 3, 6, 4], -1, 1), x([2, 3, 6, 2])];
const mask = (dims: readonly number[]) => ints(Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => (i % 5 === 3 ? 0 : 1)), dims, 'bool');
const codes = (dims: readonly number[], dtype: 'int8' | 'uint8') => ints(Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 37) % 255) - (dtype === 'int8' ? 127 : 0)), dims, dtype);
const NO_GRADIENT = { differentiable: false };

export const contractionCases: readonly OperatorCase[] = [
  given('Conv', 'two axes', [x([2, 3, 6, 5]), x([4, 3, 3, 3]), x([4])], { pads: [1, 0, 1, 2], strides: [2, 1] }, image),
  given('Conv', 'groups and dilations', [x([2, 4, 7, 6]), x([6, 2, 3, 2])], { group: 2, dilations: [2, 1] }, image),
  given('Conv', 'depthwise', [x([2, 4, 6, 6]), x([4, 1, 3, 3])], { group: 4, auto_pad: 'SAME_UPPER', strides: [2, 2] }, image),
  given('Conv', 'one axis', [x([2, 3, 9]), x([4, 3, 3])], { dilations: [2], pads: [2, 1] }),
  given('Conv', 'three axes', [x([1, 2, 4, 5, 4]), x([3, 2, 2, 3, 2])], { pads: [0, 1, 0, 1, 1, 0] }),
  given('ConvTranspose', 'two axes', [x([2, 3, 4, 3]), x([3, 2, 3, 3]), x([2])], { strides: [2, 2], pads: [1, 1, 0, 1], output_padding: [1, 0] }, image),
  given('ConvTranspose', 'groups', [x([1, 4, 4, 3]), x([4, 2, 2, 3])], { group: 2, dilations: [2, 1] }, image),
  given('MatMul', 'matrices', [x([3, 4]), x([4, 5])]),
  given('MatMul', 'broadcast batches', [x([2, 1, 3, 4]), x([3, 4, 2])]),
  given('MatMul', 'vectors', [x([4]), x([2, 4, 3])]),
  given('Gemm', 'transposed and scaled', [x([4, 3]), x([5, 4]), x([5])], { transA: 1, transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }),
  given('Einsum', 'matrix product', [x([3, 4]), x([4, 5])], { equation: 'ij,jk->ik' }),
  given('Einsum', 'attention scores', [x([2, 5, 3, 4]), x([2, 6, 3, 4])], { equation: 'bqhd,bkhd->bhqk' }),
  given('Einsum', 'ellipsis, broadcast', [x([2, 3, 4]), x([1, 4, 5])], { equation: '...ij, ...jk -> ...ik' }),
  given('Einsum', 'diagonal', [x([3, 4, 4])], { equation: 'bii->bi' }),
  given('Einsum', 'trace without arrow', [x([4, 4])], { equation: 'ii' }),
  given('Einsum', 'three operands', [x([2, 3]), x([3, 4]), x([4, 2])], { equation: 'ab,bc,ca->a' }),
  given('Einsum', 'outer product and sum', [x([3]), x([2, 4])], { equation: 'i,jk->ji' }),
  given('Attention', 'heads apart', head, {}, { opset: 23 }),
  given('Attention', 'heads together, causal', [x([2, 4, 6]), x([2, 4, 6]), x([2, 4, 6])], { q_num_heads: 2, kv_num_heads: 2, is_causal: 1 }, { opset: 23 }),
  given('Attention', 'a mask of truths', [...head, mask([5, 6])], { scale: { float: 0.3 } }, { opset: 23 }),
  given('Attention', 'a mask of numbers', [...head, x([2, 1, 5, 6])], {}, { opset: 23 }),
  given('RotaryEmbedding', 'halves', [x([2, 3, 4, 6]), x([10, 3]), x([10, 3]), ints([0, 1, 2, 3, 5, 6, 7, 8], [2, 4])], {}, { opset: 23 }),
  given('RotaryEmbedding', 'in turns, in part', [x([2, 4, 12]), x([2, 4, 2]), x([2, 4, 2])], { num_heads: 2, interleaved: 1, rotary_embedding_dim: 4 }, { opset: 23 }),
  given('MatMulInteger', 'zero points', [codes([3, 300], 'uint8'), codes([300, 4], 'int8'), ints([7], [], 'uint8'), ints([1, -2, 3, 0], [4], 'int8')], {}, NO_GRADIENT),
  given('ConvInteger', 'pads', [codes([2, 3, 5, 5], 'uint8'), codes([4, 3, 3, 3], 'uint8'), ints([128], [], 'uint8'), ints([100], [], 'uint8')], { pads: [1, 1, 1, 1] }, NO_GRADIENT),
  given('QLinearConv', 'per channel', [codes([1, 2, 5, 5], 'uint8'), fixed(exactly([], [0.02])), ints([128], [], 'uint8'), codes([3, 2, 3, 3], 'int8'), fixed(exactly([3], [0.01, 0.02, 0.015])), ints([0, 0, 0], [3], 'int8'), fixed(exactly([], [0.3])), ints([120], [], 'uint8'), ints([100, -500, 0], [3], 'int32')], {}, NO_GRADIENT),
  given('QLinearMatMul', 'signed', [codes([4, 5], 'int8'), fixed(exactly([], [0.02])), ints([3], [], 'int8'), codes([5, 3], 'int8'), fixed(exactly([], [0.01])), ints([-4], [], 'int8'), fixed(exactly([], [0.1])), ints([2], [], 'int8')], {}, NO_GRADIENT),
  given('FusedGemm', 'LeakyRelu of another slope', [x([3, 4]), x([4, 5]), x([5])], { activation: 'LeakyRelu', activation_alpha: { float: 0.3 } }, ms),
  given('FusedConv', 'Clip', [x([2, 3, 5, 5]), x([4, 3, 3, 3]), x([4])], { activation: 'Clip', activation_params: { floats: [-0.5, 0.8] } }, { ...ms, ...image }),
  given('FusedConv', 'with an addend and Relu', [x([2, 3, 5, 5]), x([4, 3, 3, 3]), x([4]), x([2, 4, 3, 3])], { activation: 'Relu' }, { ...ms, ...image }),
  given('FusedGemm', 'LeakyRelu', [x([3, 4]), x([4, 5]), x([5])], { activation: 'LeakyRelu', activation_alpha: { float: 0.01 } }, ms),
  given('FusedMatMul', 'transposed and scaled', [x([2, 4, 3]), x([2, 4, 5])], { transA: 1, alpha: { float: 0.5 } }, ms),
  given('BiasGelu', 'exact', [x([2, 3, 4]), x([4])], {}, ms),
  given('FastGelu', 'by tanh', [x([2, 3, 4]), x([4])], {}, ms),
  given('Gelu', 'exact', [x([2, 3, 4])], {}, ms),
  given('QuickGelu', 'by a sigmoid', [x([2, 3, 4])], {}, ms),
  given('SkipLayerNormalization', 'with a bias', [x([2, 3, 8]), x([2, 3, 8]), x([8], 0.5, 1.5), x([8]), x([8])], { epsilon: { float: 1e-5 } }, ms),
  given('SkipSimplifiedLayerNormalization', 'with a bias', [x([2, 3, 8]), x([2, 3, 8]), x([8], 0.5, 1.5), x([8])], { epsilon: { float: 1e-5 } }, ms),
  given('SimplifiedLayerNormalization', 'last axis', [x([2, 3, 8]), x([8], 0.5, 1.5)], { epsilon: { float: 1e-5 } }),
  given('EmbedLayerNormalization', 'words, places and segments', [ints([1, 4, 2, 0, 3, 3], [2, 3], 'int32'), ints([0, 0, 1, 0, 1, 1], [2, 3], 'int32'), x([5, 8]), x([4, 8]), x([2, 8]), x([8], 0.5, 1.5), x([8])], { epsilon: { float: 1e-5 } }, { ...ms, outputs: 2 }),
  given('Attention', 'packed, masked', [x([2, 4, 6]), x([6, 24]), x([24]), ints([1, 1, 1, 0, 1, 1, 0, 0], [2, 4], 'int32')], { num_heads: 2 }, ms),
  given('Attention', 'packed, of one direction', [x([2, 4, 6]), x([6, 24]), x([24])], { num_heads: 2, unidirectional: 1 }, ms),
  given('MultiHeadAttention', 'with biases', [x([2, 4, 8]), x([2, 5, 8]), x([2, 5, 8]), x([24])], { num_heads: 2 }, ms),
  given('RotaryEmbedding', 'positions first', [x([2, 3, 4, 8]), ints([0, 1, 2, 3, 4, 5, 6, 7], [2, 4]), x([10, 4]), x([10, 4])], {}, ms),
  given('MatMulNBits', 'of 4 bits', [x([3, 32]), ints(Array.from({ length: 5 * 2 * 8 }, (_, i) => (i * 53) % 256), [5, 2, 8], 'uint8'), fixed(x([10], 0.01, 0.1))], { K: 32, N: 5, bits: 4, block_size: 16 }, ms),
  given('MatMulNBits', 'with zero points', [x([2, 32]), ints(Array.from({ length: 3 * 2 * 8 }, (_, i) => (i * 91) % 256), [3, 2, 8], 'uint8'), fixed(x([6], 0.01, 0.1)), ints([0x57, 0x93, 0xa1], [3], 'uint8')], { K: 32, N: 3, bits: 4, block_size: 16 }, ms),
];
