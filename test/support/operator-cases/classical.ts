/** ai.onnx.ml's operators around networks. */
import { exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const ml = { domain: 'ai.onnx.ml' };
const floats = (...values: number[]) => ({ floats: values });

export const classicalCases: readonly OperatorCase[] = [
  given('Scaler', 'of each feature', [x([4, 3])], { offset: floats(0.5, -1, 2), scale: floats(2, 0.25, -3) }, ml),
  given('Scaler', 'of all', [x([4, 3])], { offset: floats(0.5), scale: floats(2) }, ml),
  given(
    'Scaler',
    'of integers',
    [ints([1, 2, 3, 4, 5, 6], [2, 3])],
    { offset: floats(0.5, -1, 2), scale: floats(2, 0.25, -3) },
    { ...ml, differentiable: false },
  ),
  ...['MAX', 'L1', 'L2'].map((norm) => given('Normalizer', norm, [x([4, 5], 0.1, 2)], { norm }, ml)),
  given('Normalizer', 'signs', [x([4, 5], -2, 2)], { norm: 'L1' }, ml),
  given(
    'Normalizer',
    'a row of zeros',
    [fixed(exactly([2, 2], [0, 0, 3, 4]))],
    { norm: 'L2' },
    { ...ml, differentiable: false },
  ),
  given('ArrayFeatureExtractor', 'columns', [x([4, 5]), ints([3, 0, 3])], {}, ml),
  given('ArrayFeatureExtractor', 'of a vector', [x([5]), ints([4, 1])], {}, ml),
  given(
    'ArrayFeatureExtractor',
    'integers, by a row of indices',
    [ints([10, 20, 30]), ints([2, 0, 1, 1], [1, 4])],
    {},
    { ...ml, differentiable: false },
  ),
];
