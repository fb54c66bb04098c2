/** Operators that change the shape alone, or the order of axes: Reshape, Flatten, Squeeze, Unsqueeze, Transpose. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { elementCount } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { reshaping as axesMatched, reshapeToShape, transposition } from './channels/reshape.ts';
import type { ChannelRule } from './channels/rule.ts';
import {
  attributeOrInput,
  FULL,
  firstInput,
  given,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  ONNX_ORDER,
  PASSES,
  type Ints,
  needs,
  required,
} from './define.ts';
import { onNumbers } from './device/rows.ts';
import { reshape, transpose } from './host/movement.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { isConcrete, openShape, productOf, resolveAxes, resolveAxis, shapeOf, typeOf } from './shapes.ts';

const common = { domain: '', since: 1, layout: ONNX_ORDER, quantization: PASSES } as const;

/** Integers and masks move without being recorded for gradients. */
export function moved(x: TfTensor, move: (x: TfTensor) => TfTensor): TfTensor {
  return x.dtype === 'float32' ? move(x) : withoutTape(() => onNumbers(x, move));
}

/** The new shape that an operator gives; null where it depends on an input of unknown value. */
type Reshaping = (dims: readonly Dim[], info: NodeInfo, ints: Ints) => readonly Dim[] | null;

function reshaping(
  type: string,
  shapeAfter: Reshaping,
  channels: ChannelRule,
  inferShape?: (info: NodeInfo) => readonly Dim[] | null,
): Operator {
  const run = (dims: readonly number[], info: NodeInfo, ints: Ints): readonly number[] => {
    const after = shapeAfter(dims, info, ints);
    if (!isConcrete(after)) throw new GraphError('the new shape is not known');
    return after;
  };
  return {
    ...common,
    type,
    differentiability: firstInput(0),
    channels,
    infer: (info) => [
      { ...typeOf(info), shape: inferShape ? inferShape(info) : inferFrom(info, shapeAfter), ...sameElements(info) },
    ],
    host: (inputs, info) => [reshape(required(inputs, 0), run(required(inputs, 0).dims, info, intsOfHost(inputs)))],
    device: (ctx: RunContext) => {
      const after = run(ctx.dims(0), ctx, intsOfRun(ctx));
      return [moved(ctx.tensor(0), (x) => tf.reshape(x, [...after]))];
    },
  };
}

function inferFrom(info: NodeInfo, shapeAfter: Reshaping): readonly Dim[] | null {
  const shape = shapeOf(info);
  return shape && shapeAfter(shape, info, intsOfConstants(info));
}

/** The elements of a shape vector keep their values. */
function sameElements(info: NodeInfo): Pick<Inferred, 'elements'> {
  const elements = info.partial(0);
  return elements ? { elements } : {};
}

/** Reshape's rules: 0 copies (or is zero, by `allowzero`), -1 takes the rest. */
function resolveReshape(dims: readonly Dim[], wanted: readonly Dim[], allowZero: boolean): Dim[] {
  const target = wanted.map((dim, axis) => {
    if (dim !== 0 || allowZero) return dim;
    if (axis >= dims.length) throw new GraphError(`axis ${axis} is to be copied from a tensor of rank ${dims.length}`);
    return nth(dims, axis);
  });
  const open = target.indexOf(-1);
  if (open < 0) return checked(dims, target);
  if (target.indexOf(-1, open + 1) >= 0) throw new GraphError('only one dimension can be -1');
  const rest = target.filter((_, axis) => axis !== open);
  target[open] = quotient(dims, rest);
  return target;
}

function checked(dims: readonly Dim[], target: Dim[]): Dim[] {
  if (isConcrete(dims) && isConcrete(target) && elementCount(dims) !== elementCount(target))
    throw new GraphError(`[${dims.join(', ')}] cannot be reshaped to [${target.join(', ')}]`);
  return target;
}

/** Product of `dims` over that of `rest`; symbols on both sides cancel. */
function quotient(dims: readonly Dim[], rest: readonly Dim[]): Dim {
  const above = [...dims];
  const below = rest.filter((dim) => {
    const at = typeof dim === 'string' ? above.indexOf(dim) : -1;
    if (at >= 0) above.splice(at, 1);
    return at < 0;
  });
  const [over, under] = [productOf(above), productOf(below)];
  if (under === 1) return over;
  if (typeof under !== 'number' || typeof over !== 'number') return null;
  if (under === 0 ? over !== 0 : over % under !== 0)
    throw new GraphError(`[${dims.join(', ')}] cannot be reshaped with dimensions [${rest.join(', ')}] given`);
  return under === 0 ? 0 : over / under;
}

const reshapeTo: Reshaping = (dims, info, ints) => {
  const wanted = info.opset < 5 ? info.ints('shape') : ints(1);
  return wanted ? resolveReshape(dims, wanted, info.int('allowzero', 0) === 1) : null;
};

function inferReshape(info: NodeInfo): readonly Dim[] | null {
  const wanted = info.opset < 5 ? info.ints('shape') : info.partial(1);
  const shape = shapeOf(info);
  if (!wanted) {
    const rank = shapeOf(info, 1)?.[0];
    return typeof rank === 'number' ? openShape(rank) : null;
  }
  if (shape) return resolveReshape(shape, wanted, info.int('allowzero', 0) === 1);
  return wanted.map((dim) => (dim === -1 || dim === 0 ? null : dim));
}

const flatten: Reshaping = (dims, info) => {
  const axis = info.int('axis', 1);
  const at = axis === dims.length ? axis : resolveAxis(axis, dims.length);
  return [productOf(dims.slice(0, at)), productOf(dims.slice(at))];
};

const squeeze: Reshaping = (dims, info, ints) => {
  const axes = attributeOrInput(info, ints, { name: 'axes', input: 1, inputSince: 13 });
  if (axes === null) {
    if (info.opset >= 13 && given(info, 1)) return null;
    return dims.some((dim) => typeof dim !== 'number') ? null : dims.filter((dim) => dim !== 1);
  }
  const gone = resolveAxes(axes, dims.length);
  const wrong = gone.find((axis) => typeof dims[axis] === 'number' && dims[axis] !== 1);
  if (wrong !== undefined) throw new GraphError(`axis ${wrong} of size ${dims[wrong]} cannot be squeezed`);
  return dims.filter((_, axis) => !gone.includes(axis));
};

const unsqueeze: Reshaping = (dims, info, ints) => {
  const axes = attributeOrInput(info, ints, { name: 'axes', input: 1, inputSince: 13 });
  if (axes === null) return null;
  const rank = dims.length + axes.length;
  const fresh = new Set(resolveAxes(axes, rank));
  const rest = [...dims];
  return Array.from({ length: rank }, (_, axis) => (fresh.has(axis) ? 1 : rest.shift()!));
};

/** The permutation; without one the axes are reversed. */
function permutation(info: NodeInfo, rank: number): number[] {
  const perm = info.ints('perm');
  if (!perm) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (perm.length !== rank) throw new GraphError(`perm [${perm.join(', ')}] does not fit a tensor of rank ${rank}`);
  return resolveAxes(perm, rank);
}

function inferTranspose(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (shape) return [{ dtype, shape: permutation(info, shape.length).map((axis) => nth(shape, axis)) }];
  return [{ dtype, shape: info.ints('perm')?.map(() => null) ?? null }];
}

export const reshapeOperators: readonly Operator[] = [
  reshaping('Reshape', reshapeTo, reshapeToShape, inferReshape),
  reshaping('Flatten', flatten, axesMatched),
  reshaping('Squeeze', squeeze, axesMatched),
  reshaping('Unsqueeze', unsqueeze, axesMatched),
  {
    ...common,
    type: 'Transpose',
    differentiability: FULL,
    infer: inferTranspose,
    channels: transposition,
    host: needs(1, ([x], info) => [transpose(x, permutation(info, x.dims.length))]),
    device: (ctx) => [moved(ctx.tensor(0), (x) => tf.transpose(x, permutation(ctx, x.rank)))],
  },
];
