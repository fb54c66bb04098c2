import { exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const NO_GRADIENT = { differentiable: false };

export const indexingCases: readonly OperatorCase[] = [
  given('Gather', 'rows, repeated', [x([5, 3]), ints([0, 4, -1, 4], [2, 2])]),
  given('Gather', 'another axis', [x([2, 4, 3]), ints([3, 0, 3])], { axis: 1 }),
  given('Gather', 'a scalar index', [x([2, 4, 3]), ints([-2], [])], { axis: -1 }),
  given('Gather', 'numbers of a vector', [x([5]), ints([4, 0, 0, 2, 4, 1, 4, 2], [2, 4])]),
  given('Gather', 'numbers of a vector, some from its end', [x([5]), ints([-1, 0, 4, -5])]),
  given('Gather', 'one number of a vector', [x([5]), ints([3], [])]),
  given('Gather', 'no index', [fixed(x([4, 3])), ints([], [0])], {}, NO_GRADIENT),
  given('Gather', 'int64', [ints([5, 6, 7]), ints([2, -3])], {}, NO_GRADIENT),
  given('GatherElements', 'axis 1', [x([2, 4]), ints([3, -4, 0, 1, 1, 2], [2, 3])], { axis: 1 }),
  given('GatherElements', 'axis 0', [x([3, 4]), ints([2, 0, -1, 1, 0, 0, 2, 2], [2, 4])]),
  given('GatherND', 'elements', [x([2, 3, 4]), ints([0, 1, 2, 1, -1, -2], [2, 3])]),
  given('GatherND', 'slices', [x([2, 3, 4]), ints([0, 1, 1, 2, 0, 1], [3, 2])]),
  given('GatherND', 'batches', [x([2, 3, 4]), ints([2, 0], [2, 1])], { batch_dims: 1 }),
  given('ScatterElements', 'put', [x([3, 4]), ints([0, 3, 1, 2, 0, 1], [3, 2]), x([3, 2], 2, 3)], { axis: 1 }),
  given(
    'Scatter',
    'as it was called before opset 11',
    [x([3, 4]), ints([0, 3, 1, 2, 0, 1], [3, 2]), x([3, 2], 2, 3)],
    { axis: 1 },
    { opset: 10 },
  ),
  given('ScatterElements', 'put, twice in one place', [x([1, 4]), ints([1, 1, 3], [1, 3]), x([1, 3], 2, 3)], {
    axis: 1,
  }),
  ...['add', 'mul', 'max', 'min'].map((reduction) =>
    given('ScatterElements', reduction, [x([3, 4], -2, 2), ints([0, 0, 0, 2, -1, 1], [3, 2]), x([3, 2], -1.5, 1.7)], {
      axis: 1,
      reduction,
    }),
  ),
  given(
    'ScatterElements',
    'max of many in one place',
    [x([1, 3], -2, 2), ints([1, 1, 1, 2, 1, 1], [1, 6]), x([1, 6], -1.5, 1.7)],
    { axis: 1, reduction: 'max' },
  ),
  given('ScatterND', 'slices', [x([4, 3]), ints([2, 0], [2, 1]), x([2, 3], 2, 3)]),
  given('ScatterND', 'elements', [x([4, 3]), ints([2, 0, -1, 2], [2, 2]), x([2], 2, 3)]),
  ...['add', 'mul', 'max', 'min'].map((reduction) =>
    given('ScatterND', reduction, [x([4, 3], -2, 2), ints([2, 0, 2, 2], [4, 1]), x([4, 3], -1.5, 1.7)], { reduction }),
  ),
  given('OneHot', 'values', [ints([0, 2, -1, 5]), ints([3], []), exactly([2], [-0.5, 2])]),
  given('OneHot', 'another axis', [ints([0, 2, 1, 1], [2, 2]), ints([3], []), exactly([2], [0, 1])], { axis: 1 }),
  given('Compress', 'an axis', [x([3, 4]), ints([1, 0, 1], [3], 'bool')], { axis: 0 }),
  given('Compress', 'flat', [x([2, 3]), ints([0, 1, 1, 0, 1], [5], 'bool')]),
  given('NonZero', 'floats', [fixed(exactly([2, 3], [0, 1, 0, 2, 3, 0]))], {}, NO_GRADIENT),
  given('Unique', 'sorted', [fixed(exactly([6], [2, 1, 1, 3, 4, 3]))], {}, { ...NO_GRADIENT, outputs: 4 }),
  given(
    'Unique',
    'as they come',
    [fixed(exactly([6], [2, 1, 1, 3, 4, 3]))],
    { sorted: 0 },
    { ...NO_GRADIENT, outputs: 4 },
  ),
  given('Unique', 'rows', [fixed(exactly([3, 2], [1, 0, 1, 0, 2, 3]))], { axis: 0 }, { ...NO_GRADIENT, outputs: 4 }),
];
