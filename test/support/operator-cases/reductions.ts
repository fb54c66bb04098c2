import { constant, exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const positive: ReadonlySet<string> = new Set(['ReduceLogSum', 'ReduceProd']);
const types = [
  'ReduceSum',
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceProd',
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceSumSquare',
];
const NO_GRADIENT = { differentiable: false };

function reductions(type: string): OperatorCase[] {
  const data = (dims: readonly number[]) => (positive.has(type) ? x(dims, 0.4, 2) : x(dims, -2, 2));
  const older = type === 'ReduceSum' ? 11 : 13;
  return [
    given(type, 'all axes', [data([2, 3, 4])]),
    given(type, 'one axis', [data([2, 3, 4]), constant(ints([1]))], { keepdims: 0 }),
    given(type, 'axes that are computed', [data([2, 3, 4]), ints([-1, 0])]),
    given(type, 'no axes, left alone', [data([2, 3])], { noop_with_empty_axes: 1 }, { runtime: type === 'ReduceSum' }),
    given(type, 'axes as attribute', [data([2, 3, 4])], { axes: [0, -1], keepdims: 0 }, { opset: older }),
    given(type, 'images over space', [data([2, 3, 4, 5]), constant(ints([2, 3]))], { keepdims: 0 }, { image: true }),
    given(type, 'images over channels', [data([2, 3, 4, 5]), constant(ints([1]))], {}, { image: true }),
    given(
      type,
      'images over samples and rows',
      [data([2, 3, 4, 5]), constant(ints([0, 2]))],
      { keepdims: 0 },
      { image: true },
    ),
  ];
}

export const reductionCases: readonly OperatorCase[] = [
  ...types.flatMap(reductions),
  given('ReduceProd', 'with a zero', [exactly([2, 3], [1, 0, 2, 3, -1, 0.5]), constant(ints([1]))]),
  given('ReduceProd', 'with two zeros', [exactly([2, 3], [0, 0, 2, 3, -1, 0.5]), constant(ints([1]))]),
  given('ReduceSum', 'int64', [ints([1, 2, 3, -9], [2, 2]), ints([1])], {}, NO_GRADIENT),
  given('ReduceMax', 'int32', [ints([1, 2, 3, -9], [2, 2], 'int32'), ints([1])], {}, NO_GRADIENT),
  given('ReduceMean', 'int32 is cut towards zero', [ints([1, 2, -3, -4], [2, 2], 'int32'), ints([1])], {}, NO_GRADIENT),
  given('ReduceSum', 'an empty axis', [fixed(x([2, 0, 3])), ints([1])], {}, NO_GRADIENT),
  ...['ArgMax', 'ArgMin'].flatMap((type) => [
    given(type, 'an axis', [fixed(x([2, 3, 4]))], { axis: 1 }, NO_GRADIENT),
    given(type, 'the last axis, dropped', [fixed(x([2, 3, 4]))], { axis: -1, keepdims: 0 }, NO_GRADIENT),
    given(type, 'ties, the first', [fixed(exactly([2, 3], [1, 1, 0, 2, 0, 2]))], { axis: 1 }, NO_GRADIENT),
    given(
      type,
      'ties, the last',
      [fixed(exactly([2, 3], [1, 1, 0, 0, 2, 0]))],
      { axis: 1, select_last_index: 1 },
      NO_GRADIENT,
    ),
  ]),
  given('TopK', 'greatest', [x([3, 6]), ints([3])], {}, { outputs: 2 }),
  given('TopK', 'least, another axis', [x([4, 3, 2]), ints([2])], { axis: 0, largest: 0 }, { outputs: 2 }),
  given(
    'TopK',
    'ties',
    [fixed(exactly([1, 5], [2, 1, 2, 3, 1])), ints([4])],
    {},
    { outputs: 2, differentiable: false },
  ),
  ...[
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ].map(([exclusive, reverse]) =>
    given('CumSum', `exclusive ${exclusive}, reverse ${reverse}`, [x([2, 4, 3]), ints([1], [])], {
      exclusive: exclusive!,
      reverse: reverse!,
    }),
  ),
  ...[
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ].map(([exclusive, reverse]) =>
    given(
      'CumProd',
      `exclusive ${exclusive}, reverse ${reverse}`,
      [x([2, 4, 3]), ints([1], [])],
      { exclusive: exclusive!, reverse: reverse! },
      { opset: 26, runtime: false },
    ),
  ),
  given('CumSum', 'int64', [ints([1, 2, 3, 4], [2, 2]), ints([-1], [])], {}, NO_GRADIENT),
];
