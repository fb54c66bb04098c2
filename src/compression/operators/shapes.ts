/** Arithmetic on shapes with open dimensions: a size, a symbol, or null where nothing is known. */
import { GraphError } from '../ir/graph-error.ts';
import type { DataType, Dim, TensorType } from '../ir/types.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';

/** As deep as the ONNX reader takes shapes. */
const MAX_RANK = 64;

export type Shape = readonly Dim[] | null;

/** The type of an input that the operator cannot do without. */
export function typeOf(info: NodeInfo, input = 0): TensorType {
  return info.types[input] ?? { dtype: 'undefined', shape: null };
}

export function shapeOf(info: NodeInfo, input = 0): Shape {
  return info.types[input]?.shape ?? null;
}

/** True where every dimension is a number. */
export function isConcrete(shape: Shape | undefined): shape is readonly number[] {
  return shape != null && shape.every((dim) => typeof dim === 'number');
}

/** `infer` of operators whose first output is of the type of an input. */
export function sameType(input = 0): (info: NodeInfo) => [Inferred] {
  return (info) => [typeOf(info, input)];
}

/** `infer` of operators that broadcast all their inputs; the type is that of input `typed`, or the one given. */
export function broadcastType(typed: number | DataType = 0): (info: NodeInfo) => [Inferred] {
  return (info) => [
    {
      dtype: typeof typed === 'number' ? typeOf(info, typed).dtype : typed,
      shape: broadcastShapes(...info.types.map((type) => type?.shape ?? null)),
    },
  ];
}

/**
 * Multidirectional broadcasting. A dimension of one gives way; of two different symbols (or a symbol and nothing)
 * nothing is known; a number above one wins over a symbol, which can then only be that number or one.
 * @throws GraphError where two sizes contradict each other.
 */
export function broadcastShapes(...shapes: Shape[]): Dim[] | null {
  let result: Dim[] = [];
  for (const shape of shapes) {
    if (shape === null) return null;
    const rank = Math.max(result.length, shape.length);
    const merged: Dim[] = [];
    for (let i = 0; i < rank; i++)
      merged.push(
        broadcastDim(
          result[result.length - rank + i] ?? (i < rank - result.length ? 1 : null),
          i < rank - shape.length ? 1 : shape[shape.length - rank + i]!,
        ),
      );
    result = merged;
  }
  return result;
}

function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === 'number' && typeof b === 'number') throw new GraphError(`sizes ${a} and ${b} do not broadcast`);
  if (typeof a === 'number') return a;
  return typeof b === 'number' ? b : null;
}

/** The more definite of two statements of one size. @throws GraphError where they contradict each other. */
export function unifyDim(a: Dim, b: Dim, what = 'dimensions'): Dim {
  if (typeof a === 'number' && typeof b === 'number' && a !== b)
    throw new GraphError(`${what} ${a} and ${b} should be equal`);
  if (typeof a === 'number') return a;
  return typeof b === 'number' ? b : (a ?? b);
}

/** ONNX axis (negative: from the end) -> 0-based. @throws GraphError outside the rank. */
export function resolveAxis(axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= Math.max(rank, 1))
    throw new GraphError(`axis ${axis} lies outside a tensor of rank ${rank}`);
  return resolved;
}

export function resolveAxes(axes: readonly number[], rank: number): number[] {
  const resolved = axes.map((axis) => resolveAxis(axis, rank));
  if (new Set(resolved).size < resolved.length) throw new GraphError(`axes [${axes.join(', ')}] name one axis twice`);
  return resolved;
}

/** Product of dimensions: a number where all are known; a symbol where it is the only factor beside ones. */
export function productOf(dims: readonly Dim[]): Dim {
  if (dims.includes(0)) return 0;
  let factor = 1;
  let open: Dim | undefined;
  for (const dim of dims) {
    if (typeof dim === 'number') factor *= dim;
    else if (open !== undefined || dim === null) return null;
    else open = dim;
  }
  if (open === undefined) return factor;
  return factor === 1 ? open : null;
}

export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Row-major strides in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  return strides;
}

/** An unknown shape of a known rank. @throws GraphError where no tensor has so many axes. */
export function openShape(rank: number): Dim[] {
  if (rank > MAX_RANK) throw new GraphError(`a shape has ${rank} dimensions; at most ${MAX_RANK} are supported`);
  return new Array<Dim>(rank).fill(null);
}

/** @throws GraphError where the rank is known and not allowed. */
export function requireRank(shape: Shape, min: number, what: string, max = Infinity): void {
  if (shape && (shape.length < min || shape.length > max)) {
    const allowed = max === min ? `rank ${min}` : max === Infinity ? `rank ${min} or more` : `rank ${min} to ${max}`;
    throw new GraphError(`${what} must be of ${allowed}, it is of shape [${shape.join(', ')}]`);
  }
}
