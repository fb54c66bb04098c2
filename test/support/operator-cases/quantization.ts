import { constant, exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const NO_GRADIENT = { differentiable: false };
const data = fixed(x([2, 4, 3], -3, 3));
const scale = (dims: readonly number[]) => x(dims, 0.02, 0.06);

export const quantizationCases: readonly OperatorCase[] = [
  given('QuantizeLinear', 'per tensor', [data, fixed(exactly([], [0.03])), ints([5], [], 'int8')], {}, NO_GRADIENT),
  given(
    'QuantizeLinear',
    'halves go to even',
    [fixed(exactly([5], [0.5, 1.5, 2.5, -0.5, -1.5])), fixed(exactly([], [1])), ints([0], [], 'int8')],
    {},
    NO_GRADIENT,
  ),
  given(
    'QuantizeLinear',
    'saturates',
    [fixed(exactly([3], [1000, -1000, 1])), fixed(exactly([], [0.5])), ints([128], [], 'uint8')],
    {},
    NO_GRADIENT,
  ),
  given(
    'QuantizeLinear',
    'along an axis',
    [data, fixed(scale([4])), ints([0, 1, -2, 3], [4], 'int8')],
    { axis: 1 },
    NO_GRADIENT,
  ),
  given(
    'QuantizeLinear',
    'images, by channels',
    [fixed(x([2, 3, 4, 5], -3, 3)), constant(fixed(scale([3]))), constant(ints([0, 1, 2], [3], 'uint8'))],
    { axis: 1 },
    { ...NO_GRADIENT, image: true },
  ),
  given(
    'QuantizeLinear',
    'in blocks',
    [fixed(x([4, 6], -3, 3)), fixed(scale([2, 6])), ints(new Array<number>(12).fill(1), [2, 6], 'int8')],
    { axis: 0, block_size: 2 },
    { ...NO_GRADIENT, opset: 21 },
  ),
  given('DequantizeLinear', 'per tensor', [ints([-128, 0, 127, 5], [4], 'int8'), scale([]), ints([3], [], 'int8')]),
  given(
    'DequantizeLinear',
    'along an axis',
    [ints([0, 1, 2, 3, 254, 255], [2, 3], 'uint8'), scale([3]), ints([1, 2, 128], [3], 'uint8')],
    { axis: -1 },
  ),
  given(
    'DequantizeLinear',
    'in blocks',
    [ints([1, 2, 3, 4, 5, 6, 7, 8], [4, 2], 'int8'), fixed(scale([2, 2]))],
    { axis: 0, block_size: 2 },
    { ...NO_GRADIENT, opset: 21 },
  ),
  given('DequantizeLinear', 'int32', [ints([70_000, -5], [2], 'int32'), scale([])]),
  given(
    'DequantizeLinear',
    'of com.microsoft',
    [ints([0, 1, 128, 255], [4], 'uint8'), scale([]), ints([3], [], 'uint8')],
    {},
    { domain: 'com.microsoft' },
  ),
  given('DynamicQuantizeLinear', 'both signs', [fixed(x([3, 4], -1, 2))], {}, { ...NO_GRADIENT, outputs: 3 }),
  given('DynamicQuantizeLinear', 'above zero', [fixed(x([3, 4], 1, 2))], {}, { ...NO_GRADIENT, outputs: 3 }),
];
