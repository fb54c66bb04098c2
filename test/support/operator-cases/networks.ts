/** Operators without an exact host form, second part: pooling, normalization, activation, recurrence, sampling, spectra. */
import { constant, exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const image = { image: true };
const NO_GRADIENT = { differentiable: false };
/** Places in [-1, 1] and a little beyond, off the pixels' edges. */
const grid = (dims: readonly number[]) => x(dims, -1.15, 1.1);
const unary = (type: string, attributes = {}, low = -2, high = 2, opset = 22) => given(type, 'elementwise', [x([2, 3, 4, 5], low, high)], attributes, { ...image, opset });

export const networkCases: readonly OperatorCase[] = [
  given('MaxPool', 'two axes', [x([2, 3, 7, 6])], { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 0] }, image),
  given('MaxPool', 'dilated', [x([1, 2, 7, 7])], { kernel_shape: [2, 2], dilations: [2, 2] }, image),
  given('AveragePool', 'two axes', [x([2, 3, 7, 6])], { kernel_shape: [3, 3], strides: [2, 1], pads: [1, 1, 1, 1] }, image),
  given('AveragePool', 'pads counted', [x([2, 3, 6])], { kernel_shape: [3], pads: [1, 1], count_include_pad: 1 }),
  given('GlobalAveragePool', 'images', [x([2, 3, 4, 5])], {}, image),
  given('GlobalMaxPool', 'images', [x([2, 3, 4, 5])], {}, image),
  given('LpPool', 'two axes', [x([2, 3, 6, 6], 0.2, 1)], { kernel_shape: [2, 2], strides: [2, 2], p: 2 }, image),
  given('MaxUnpool', 'two by two', [x([1, 2, 2, 2]), ints([5, 7, 13, 15, 16, 18, 24, 31], [1, 2, 2, 2])], { kernel_shape: [2, 2], strides: [2, 2] }),
  given('Col2Im', 'overlapping', [x([2, 18, 12]), constant(ints([5, 6])), constant(ints([3, 3]))], { strides: [2, 1], pads: [1, 0, 1, 0] }),
  given('BatchNormalization', 'inference', [x([2, 3, 4, 5]), x([3], 0.5, 1.5), x([3]), fixed(x([3])), fixed(x([3], 0.5, 2))], {}, image),
  given('LayerNormalization', 'last axis', [x([2, 3, 8]), x([8], 0.5, 1.5), x([8])], {}),
  given('LayerNormalization', 'two axes', [x([2, 3, 4]), x([3, 4], 0.5, 1.5)], { axis: 1 }),
  given('RMSNormalization', 'last axis', [x([2, 3, 8]), x([8], 0.5, 1.5)], {}, { opset: 23 }),
  given('InstanceNormalization', 'images', [x([2, 3, 4, 5]), x([3], 0.5, 1.5), x([3])], {}, image),
  given('GroupNormalization', 'two groups', [x([2, 4, 3, 3]), x([4], 0.5, 1.5), x([4])], { num_groups: 2 }, { ...image, opset: 21 }),
  given('LRN', 'five channels', [x([2, 6, 3, 3])], { size: 3, alpha: { float: 0.3 } }, image),
  given('LpNormalization', 'by two', [x([2, 3, 4], 0.2, 1)], { axis: 1, p: 2 }),
  given('MeanVarianceNormalization', 'images', [x([2, 3, 4, 5])], {}, image),
  given('Softmax', 'channels', [x([2, 3, 4, 5])], { axis: 1 }, image),
  given('Softmax', 'flattened, as before opset 13', [x([2, 3, 4])], { axis: 1 }, { opset: 11 }),
  given('LogSoftmax', 'last axis', [x([2, 3, 4])], {}),
  ...['Relu', 'Sigmoid', 'HardSigmoid', 'HardSwish', 'Tanh', 'Elu', 'Selu', 'Softplus', 'Softsign', 'Mish'].map((type) => unary(type)),
  unary('LeakyRelu', { alpha: { float: 0.2 } }), unary('Celu', { alpha: { float: 1.5 } }), given('ThresholdedRelu', 'off its step', [exactly([6], [-1, 0.2, 0.5, 0.9, 1.4, 2])], { alpha: { float: 0.7 } }),
  given('Shrink', 'off its steps', [exactly([6], [-1, -0.9, 0.2, -0.3, 0.9, 2])], { lambd: { float: 0.6 }, bias: { float: 0.2 } }),
  unary('Gelu'), unary('Gelu', { approximate: 'tanh' }),
  given('PRelu', 'a slope per channel', [x([2, 3, 4, 5]), x([3, 1, 1])], {}, image),
  given('Dropout', 'inference', [x([2, 3, 4])], {}),
  given('LSTM', 'both directions, lengths, peepholes', [x([5, 2, 3]), x([2, 16, 3]), x([2, 16, 4]), x([2, 32]), ints([5, 3], [2], 'int32'), x([2, 2, 4]), x([2, 2, 4]), x([2, 12])], { hidden_size: 4, direction: 'bidirectional' }, { outputs: 3 }),
  given('GRU', 'reset after', [x([4, 2, 3]), x([1, 12, 3]), x([1, 12, 4]), x([1, 24]), null, x([1, 2, 4])], { hidden_size: 4, linear_before_reset: 1 }, { outputs: 2 }),
  given('GRU', 'reset before, reversed', [x([4, 2, 3]), x([1, 12, 3]), x([1, 12, 4]), x([1, 24])], { hidden_size: 4, direction: 'reverse' }, { outputs: 2 }),
  given('RNN', 'forward', [x([4, 2, 3]), x([1, 4, 3]), x([1, 4, 4]), x([1, 8])], { hidden_size: 4 }, { outputs: 2 }),
  given('Resize', 'linear', [x([1, 2, 3, 4]), null, constant(fixed(exactly([4], [1, 1, 2, 1.5])))], { mode: 'linear' }, image),
  given('Resize', 'cubic', [x([1, 2, 4, 4]), null, constant(fixed(exactly([4], [1, 1, 2, 2])))], { mode: 'cubic' }, image),
  given('GridSample', 'linear, zeros', [x([2, 3, 4, 5]), grid([2, 3, 3, 2])], { mode: 'linear' }, { ...image, opset: 20 }),
  given('GridSample', 'linear, mirrored', [x([2, 3, 4, 5]), grid([2, 3, 3, 2])], { mode: 'linear', padding_mode: 'reflection', align_corners: 1 }, { opset: 20 }),
  given('GridSample', 'cubic, border', [x([1, 2, 5, 5]), grid([1, 2, 3, 2])], { mode: 'cubic', padding_mode: 'border' }, { opset: 20 }),
  given('GridSample', 'cubic, mirrored', [x([1, 2, 5, 5]), grid([1, 2, 3, 2])], { mode: 'cubic', padding_mode: 'reflection' }, { opset: 20 }),
  given('GridSample', 'linear, border', [x([1, 2, 5, 5]), grid([1, 2, 3, 2])], { mode: 'linear', padding_mode: 'border' }, { ...image, opset: 20 }),
  given('GridSample', 'nearest', [x([2, 3, 4, 5]), fixed(grid([2, 3, 3, 2]))], { mode: 'nearest' }, { opset: 20 }),
  given('AffineGrid', 'images', [x([2, 2, 3]), constant(ints([2, 3, 4, 5]))], {}, { opset: 20 }),
  given('RoiAlign', 'mean', [x([2, 3, 8, 8]), fixed(exactly([2, 4], [1.3, 0.6, 6.1, 5.2, 0.2, 2.4, 7.5, 7.7])), ints([0, 1])], { output_height: 2, output_width: 3, sampling_ratio: 2 }, image),
  given('RoiAlign', 'maximum, as many points as pixels', [x([1, 2, 8, 8]), fixed(exactly([1, 4], [1.3, 0.6, 6.1, 5.2])), ints([0])], { output_height: 2, output_width: 2, mode: 'max' }, NO_GRADIENT),
  given('DeformConv', 'with a mask', [x([1, 2, 5, 5]), x([3, 2, 2, 2]), x([1, 8, 4, 4], -0.4, 0.4), x([3]), x([1, 4, 4, 4], 0.2, 1)], {}, { opset: 19 }),
  given('DFT', 'real, one-sided', [x([2, 8, 1])], { axis: 1, onesided: 1 }, { opset: 17 }),
  given('DFT', 'complex, inverse', [x([2, 6, 2])], { inverse: 1, axis: 1 }, { opset: 17 }),
  given('STFT', 'windowed', [x([2, 20, 1]), constant(ints([4], [])), x([8], 0.1, 1)], {}, { opset: 17 }),
];
