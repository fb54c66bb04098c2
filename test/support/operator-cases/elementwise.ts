import { constant, exactly, fixed, given, ints, x, type OperatorCase } from './case.ts';

const unary: readonly [string, number, number][] = [
  ['Neg', -2, 2],
  ['Abs', -2, 2],
  ['Sqrt', 0.1, 4],
  ['Exp', -2, 2],
  ['Log', 0.1, 4],
  ['Reciprocal', 0.3, 3],
  ['Sin', -3, 3],
  ['Cos', -3, 3],
  ['Tan', -1.2, 1.2],
  ['Asin', -0.9, 0.9],
  ['Acos', -0.9, 0.9],
  ['Atan', -3, 3],
  ['Sinh', -2, 2],
  ['Cosh', -2, 2],
  ['Asinh', -3, 3],
  ['Acosh', 1.2, 4],
  ['Atanh', -0.9, 0.9],
  ['Erf', -2.5, 2.5],
];
const stairs = ['Floor', 'Ceil', 'Round', 'Sign'];
const NO_GRADIENT = { differentiable: false };
const specials = fixed(exactly([6], [NaN, Infinity, -Infinity, 0, -1.5, 2]));
const mask = (values: readonly number[], dims: readonly number[]) => ints(values, dims, 'bool');
const shapes: readonly [string, readonly number[], readonly number[]][] = [
  ['one shape', [2, 3, 4], [2, 3, 4]],
  ['rows', [2, 3, 4], [4]],
  ['columns', [2, 3, 4], [2, 3, 1]],
  ['both ways', [3, 1, 4], [2, 1]],
  ['a scalar', [3, 4], []],
  ['from a scalar', [], [2, 3]],
  ['empty', [0, 3], [1, 3]],
];

function binary(
  type: string,
  a: readonly [number, number],
  b: readonly [number, number],
  attributes: OperatorCase['attributes'] = {},
): OperatorCase[] {
  return [
    ...shapes.map(([note, p, q]) =>
      given(type, note, [x(p, ...a), x(q, ...b)], attributes, { differentiable: note !== 'empty' }),
    ),
    given(type, 'images', [x([2, 3, 4, 5], ...a), x([1, 3, 1, 1], ...b)], attributes, { image: true }),
    given(type, 'a channel', [x([2, 3, 4, 5], ...a), constant(fixed(x([3, 1, 1], ...b)))], attributes, { image: true }),
  ];
}

const wholes = (dtype: 'int32' | 'int64') => [
  ints([7, -7, 8, -8, 5, 0], [6], dtype),
  ints([2, 2, -3, -3, 5, 4], [6], dtype),
];

export const elementwiseCases: readonly OperatorCase[] = [
  ...unary.map(([type, low, high]) =>
    given(type, 'inside its domain', [x([2, 3, 4, 2], low, high)], {}, { image: true }),
  ),
  given('Abs', 'at zero', [exactly([3], [0, -1, 2])], {}, { differentiable: false }),
  ...stairs.map((type) =>
    given(type, 'halves', [fixed(exactly([8], [0.5, 1.5, 2.5, -0.5, -1.5, 0, -2.3, 7.9]))], {}, NO_GRADIENT),
  ),
  given('IsNaN', 'specials', [specials], {}, NO_GRADIENT),
  given('IsInf', 'both', [specials], {}, NO_GRADIENT),
  given('IsInf', 'positive', [specials], { detect_negative: 0 }, NO_GRADIENT),
  given('IsInf', 'negative', [specials], { detect_positive: 0 }, NO_GRADIENT),
  given('Not', 'a mask', [mask([0, 1, 1], [3])], {}, NO_GRADIENT),
  ...binary('Add', [-1, 1], [-2, 2]),
  ...binary('Sub', [-1, 1], [-2, 2]),
  ...binary('Mul', [-1, 1], [-2, 2]),
  ...binary('Div', [-1, 1], [0.5, 2]),
  ...binary('Pow', [0.2, 2], [-2, 2]),
  given('Pow', 'square', [x([3, 4]), constant(fixed(exactly([], [2])))]),
  given('Pow', 'root', [x([3, 4], 0.1, 2), constant(fixed(exactly([1], [0.5])))]),
  given('Pow', 'negative base, whole power', [x([3, 4]), constant(fixed(exactly([], [3])))]),
  given('Pow', 'power by integers', [x([3, 4]), ints([2, 3, 1, 0])]),
  given('Mod', 'sign of the dividend', [x([3, 4], -5, 5), x([4], 0.7, 2)], { fmod: 1 }),
  ...(['int32', 'int64'] as const).flatMap((dtype) => [
    ...['Add', 'Sub', 'Mul', 'Div', 'Mod'].map((type) => given(type, dtype, wholes(dtype), {}, NO_GRADIENT)),
    given('Mod', `${dtype} of the dividend's sign`, wholes(dtype), { fmod: 1 }, NO_GRADIENT),
    given('Max', dtype, wholes(dtype), {}, NO_GRADIENT),
    given('Neg', dtype, [wholes(dtype)[0]!], {}, NO_GRADIENT),
    given('Abs', dtype, [wholes(dtype)[0]!], {}, NO_GRADIENT),
  ]),
  given(
    'Add',
    'wraps as int32 does',
    [ints([2 ** 31 - 1, 5], [2], 'int32'), ints([1, 1], [2], 'int32')],
    {},
    NO_GRADIENT,
  ),
  given('Mul', 'int64 beyond 32 bits', [ints([100_000, -3_000_000]), ints([100_000, 5_000_000])], {}, NO_GRADIENT),
  ...['Sum', 'Mean', 'Max', 'Min'].flatMap((type) => [
    given(type, 'three, broadcast', [x([2, 3, 4]), x([3, 1], -0.9, 1.1), x([4], -1.1, 0.8)]),
    given(type, 'one', [x([2, 3])]),
    given(type, 'images', [x([2, 3, 4, 5]), x([1, 3, 1, 1], -0.8, 0.9)], {}, { image: true }),
  ]),
  ...['Equal', 'Less', 'Greater', 'LessOrEqual', 'GreaterOrEqual'].flatMap((type) => [
    given(type, 'floats', [fixed(exactly([4], [1, 2, NaN, 3])), fixed(exactly([2, 1], [2, 3]))], {}, NO_GRADIENT),
    given(type, 'int64', [ints([1, 2, 3]), ints([2, 2, 2])], {}, NO_GRADIENT),
  ]),
  given('Equal', 'masks', [mask([1, 0, 1], [3]), mask([1, 1, 0], [3])], {}, NO_GRADIENT),
  ...['And', 'Or', 'Xor'].map((type) =>
    given(type, 'broadcast', [mask([1, 0, 1, 0], [2, 2]), mask([1, 0], [2])], {}, NO_GRADIENT),
  ),
  given('Where', 'broadcast', [mask([1, 0, 1], [3, 1]), x([3, 4]), x([4], 2, 3)]),
  given('Where', 'images', [mask([1, 0, 1], [3, 1, 1]), x([2, 3, 4, 5]), x([2, 3, 4, 5], 2, 3)], {}, { image: true }),
  given('Where', 'int64', [mask([1, 0, 1], [3]), ints([1, 2, 3]), ints([9])], {}, NO_GRADIENT),
  ...['BitwiseAnd', 'BitwiseOr', 'BitwiseXor'].map((type) =>
    given(type, 'int32', [ints([12, -7, 255], [3], 'int32'), ints([10, 3, 129], [3], 'int32')], {}, NO_GRADIENT),
  ),
  given('BitwiseNot', 'uint8', [ints([0, 7, 255], [3], 'uint8')], {}, NO_GRADIENT),
  given(
    'BitShift',
    'left',
    [ints([1, 200, 7], [3], 'uint8'), ints([1, 1, 6], [3], 'uint8')],
    { direction: 'LEFT' },
    NO_GRADIENT,
  ),
  given(
    'BitShift',
    'every number by each of several',
    [ints([1, 200, 7, 255], [2, 2, 1], 'uint8'), ints([1, 0, 7, 8], [4], 'uint8')],
    { direction: 'LEFT' },
    NO_GRADIENT,
  ),
  given(
    'BitShift',
    'all by one',
    [ints([1, 2 ** 31, 2 ** 32 - 1], [3], 'uint32'), ints([31], [], 'uint32')],
    { direction: 'RIGHT' },
    NO_GRADIENT,
  ),
  given(
    'BitShift',
    'one by several',
    [ints([129], [], 'uint8'), ints([1, 2, 3], [3], 'uint8')],
    { direction: 'RIGHT' },
    NO_GRADIENT,
  ),
  given(
    'BitShift',
    'right',
    [ints([1, 200, 7], [3], 'uint32'), ints([1, 3, 2], [3], 'uint32')],
    { direction: 'RIGHT' },
    NO_GRADIENT,
  ),
  given('Cast', 'to whole numbers', [fixed(exactly([5], [1.9, -1.9, 0, 3.5, -0.4]))], { to: 7 }, NO_GRADIENT),
  given('Cast', 'to a mask', [fixed(exactly([4], [0, 0.2, -3, 5]))], { to: 9 }, NO_GRADIENT),
  given('Cast', 'to doubles', [x([2, 3])], { to: 11 }),
  given('CastLike', 'to the type of another', [x([2, 3]), fixed(x([1]))], {}, { opset: 19 }),
  given('Cast', 'from whole numbers', [ints([3, -4, 70_000], [3], 'int32')], { to: 1 }, NO_GRADIENT),
];
