/**
 * Values of five and six axes, as grouped attention (keys repeated), windowed attention (images cut into windows) and
 * detection heads hold them.
 */
import { fixed, given, ints, x, type OperatorCase } from './case.ts';

const five = [2, 2, 3, 2, 2];
const six = [1, 2, 2, 2, 3, 2];

export const highRankCases: readonly OperatorCase[] = [
  given('Expand', 'a repeated head', [x([2, 2, 1, 3, 2]), ints([2, 2, 3, 3, 2])]),
  given('Expand', 'six axes', [x([1, 2, 1, 2, 1, 2]), ints([2, 2, 2, 2, 3, 2])]),
  given('Tile', 'five axes', [x([2, 2, 1, 3, 2]), ints([1, 2, 3, 1, 2])]),
  given('Tile', 'six axes', [x(six), ints([1, 1, 2, 1, 1, 2])]),
  given('Transpose', 'windows of an image', [x(six)], { perm: [0, 1, 3, 2, 4, 5] }),
  given('Concat', 'five axes', [x(five), x([2, 2, 1, 2, 2])], { axis: 2 }),
  given('Split', 'queries, keys, values', [x([3, 2, 2, 2, 2])], { axis: 0 }, { outputs: 3, opset: 13 }),
  given('Slice', 'five axes', [x([2, 2, 4, 2, 4]), ints([0, 1]), ints([4, 4]), ints([2, 4]), ints([2, 1])]),
  given('Slice', 'six axes', [x(six), ints([1]), ints([3]), ints([4])]),
  given('Pad', 'five axes', [x(five), ints([0, 0, 1, 0, 1, 0, 0, 0, 2, 0])]),
  given('Gather', 'six axes', [x(six), ints([2, 0])], { axis: 4 }),
  given('Gather', 'one of five', [x([3, 2, 2, 2, 2]), ints([1], [])], { axis: 0 }),
  given('GatherElements', 'five axes', [x(five), ints([0, 1, 1, 0], [1, 1, 1, 2, 2])], { axis: 2 }),
  given('Add', 'broadcast over five', [x(five), x([1, 2, 1, 2, 2])]),
  given('Mul', 'broadcast over six', [x(six), x([2, 2, 1, 2])]),
  given('Where', 'five axes', [ints([1, 0], [2, 1], 'bool'), x(five), x([3, 1, 2])]),
  given('ReduceMean', 'six axes', [x(six), ints([2, 4])]),
  given('ReduceMax', 'five axes', [x(five), ints([-1])]),
  given('ReduceSum', 'five axes', [x(five), ints([0, 3])], { keepdims: 0 }),
  given('Softmax', 'five axes', [x(five)], { axis: -1 }),
  given('Softmax', 'a middle axis of five', [x(five)], { axis: 2 }),
  given('MatMul', 'five axes', [x([2, 1, 2, 3, 2]), x([2, 2, 2, 2, 3])]),
  given('MatMul', 'six axes by a matrix', [x(six), x([2, 4])]),
  given('LayerNormalization', 'five axes', [x([2, 1, 2, 1, 5]), x([5], 0.5, 1.5), x([5])], { axis: -1 }),
  given('CumSum', 'five axes', [fixed(x(five)), ints([2], [])], {}, { differentiable: false }),
  given('Clip', 'six axes', [x(six), fixed(x([], -0.6, -0.5)), fixed(x([], 0.5, 0.6))]),
  given('Unsqueeze', 'to six', [x(five), ints([3])]),
  given('Squeeze', 'of six', [x(six), ints([0])]),
];
