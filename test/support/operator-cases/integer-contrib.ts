/** com.microsoft's operators on codes: what onnxruntime's quantizer writes. */
import { exactly, fixed, given, ints, x, type CaseInput, type OperatorCase } from './case.ts';

const ms = { domain: 'com.microsoft', differentiable: false };
type Code = 'int8' | 'uint8';

/** Codes over the type's whole range, a scale, a zero point. */
function coded(
  dims: readonly number[],
  dtype: Code = 'uint8',
  scale = 0.021,
  zero = dtype === 'uint8' ? 117 : -5,
): CaseInput[] {
  const count = dims.reduce((a, b) => a * b, 1);
  return [
    ints(
      Array.from({ length: count }, (_, i) => ((i * 37 + count) % 255) - (dtype === 'int8' ? 127 : 0)),
      dims,
      dtype,
    ),
    ...places(scale, zero, dtype),
  ];
}

const places = (scale: number, zero: number, dtype: Code = 'uint8'): CaseInput[] => [
  fixed(exactly([], [scale])),
  ints([zero], [], dtype),
];
const perColumn = fixed(exactly([4], [0.01, 0.02, 0.03, 0.015]));

export const integerContribCases: readonly OperatorCase[] = [
  given(
    'QLinearAdd',
    'broadcast',
    [...coded([2, 3, 4]), ...coded([3, 1], 'uint8', 0.034), ...places(0.0523, 110)],
    {},
    ms,
  ),
  given(
    'QLinearAdd',
    'signed',
    [...coded([2, 5], 'int8'), ...coded([2, 5], 'int8', 0.013), ...places(0.0317, 4, 'int8')],
    {},
    ms,
  ),
  given(
    'QLinearMul',
    'same shapes',
    [...coded([3, 4]), ...coded([3, 4], 'uint8', 0.0343), ...places(0.0413, 128)],
    {},
    ms,
  ),
  given('QLinearSigmoid', 'elementwise', [...coded([4, 9]), ...places(1 / 256, 0)], {}, ms),
  given(
    'QLinearLeakyRelu',
    'of a slope',
    [...coded([4, 9], 'int8'), ...places(0.0213, 3, 'int8')],
    { alpha: { float: 0.15 } },
    ms,
  ),
  given('QLinearSoftmax', 'last axis', [...coded([3, 7]), ...places(1 / 256, 0)], { axis: -1, opset: 13 }, ms),
  given(
    'QLinearAveragePool',
    'pads',
    [...coded([1, 2, 6, 5]), ...places(0.0197, 121)],
    { kernel_shape: [3, 2], pads: [1, 0, 1, 1], strides: [2, 1] },
    ms,
  ),
  given(
    'QLinearGlobalAveragePool',
    'images',
    [...coded([2, 3, 5, 3]), ...places(0.0043, 120)],
    { channels_last: 0 },
    ms,
  ),
  given(
    'QLinearGlobalAveragePool',
    'channels last',
    [...coded([2, 5, 3, 4]), ...places(0.0043, 120)],
    { channels_last: 1 },
    ms,
  ),
  given(
    'QLinearConcat',
    'three parts',
    [
      ...places(0.0263, 119),
      ...coded([2, 3]),
      ...coded([2, 2], 'uint8', 0.0157),
      ...coded([2, 1], 'uint8', 0.0263, 119),
    ],
    { axis: 1 },
    ms,
  ),
  given(
    'QGemm',
    'to codes',
    [
      ...coded([3, 6]),
      ...coded([6, 4], 'int8', 0.013, 0),
      ints([100, -300, 50, 0], [4], 'int32'),
      ...places(0.0911, 123),
    ],
    { alpha: { float: 0.7 } },
    ms,
  ),
  given(
    'QGemm',
    'to floats, transposed, per column',
    [...coded([3, 6]), coded([4, 6], 'int8')[0]!, perColumn, ints([0, 0, 0, 0], [4], 'int8')],
    { transB: 1 },
    ms,
  ),
  given(
    'MatMulIntegerToFloat',
    'per column, with a bias',
    [
      coded([2, 3, 6])[0]!,
      coded([6, 4], 'int8')[0]!,
      fixed(exactly([], [0.02])),
      perColumn,
      ints([117], [], 'uint8'),
      ints([1, -2, 3, 0], [4], 'int8'),
      x([4]),
    ],
    {},
    ms,
  ),
  given(
    'DynamicQuantizeMatMul',
    'per column, with a bias',
    [fixed(x([2, 3, 6], -1, 2)), coded([6, 4], 'int8')[0]!, perColumn, ints([1, -2, 3, 0], [4], 'int8'), x([4])],
    {},
    ms,
  ),
  given(
    'QuantizeLinear',
    'to 16 bits',
    [fixed(x([2, 4, 3], -3, 3)), fixed(exactly([], [0.0003])), ints([500], [], 'int16')],
    {},
    ms,
  ),
  given(
    'DequantizeLinear',
    'along an axis',
    [
      ints([0, 1, 2, 3, 254, 255], [2, 3], 'uint8'),
      fixed(exactly([3], [0.02, 0.03, 0.01])),
      ints([1, 2, 128], [3], 'uint8'),
    ],
    { axis: 1 },
    ms,
  ),
];
