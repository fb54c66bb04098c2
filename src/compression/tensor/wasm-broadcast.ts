/**
 * XNNPACK, which the WebAssembly engine computes sums and products with, takes operands of at most six axes: with more,
 * the engine returns uninitialized memory. Neighbouring axes that broadcast alike are therefore joined before its
 * kernels see them.
 */
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import { LatheError } from '../../errors.ts';
import { tf } from './tf.ts';

const XNNPACK_KERNELS = ['Add', 'Sub', 'Multiply', 'RealDiv', 'SquaredDifference'];
const MAX_AXES = 6;

/** Replaces the kernels of the WebAssembly backend by ones that take operands of any rank. */
export function liftRankLimits(): void {
  for (const name of XNNPACK_KERNELS) {
    const kernel = tf.getKernel(name, 'wasm');
    tf.unregisterKernel(name, 'wasm');
    tf.registerKernel({ ...kernel, kernelFunc: onJoinedAxes(kernel.kernelFunc) });
  }
}

function onJoinedAxes(compute: KernelFunc): KernelFunc {
  return (params) => {
    const { a, b } = params.inputs as { a: TensorInfo; b: TensorInfo };
    if (Math.max(a.shape.length, b.shape.length) <= MAX_AXES) return compute(params);
    const joined = joinAxes(a.shape, b.shape);
    if (joined.a.length > MAX_AXES)
      throw new LatheError(
        'unsupported-operator',
        `shapes [${a.shape.join(', ')}] and [${b.shape.join(', ')}] broadcast along more than ${MAX_AXES} axes`,
      );
    const result = compute({
      ...params,
      inputs: { a: { ...infoOf(a), shape: joined.a }, b: { ...infoOf(b), shape: joined.b } },
    }) as TensorInfo;
    return { ...infoOf(result), shape: joined.result };
  };
}

function infoOf({ dataId, shape, dtype }: TensorInfo): TensorInfo {
  return { dataId, shape, dtype };
}

/**
 * Both shapes with neighbouring axes joined where the same operand is repeated along them, or none; and the shape of
 * the result.
 */
export function joinAxes(a: readonly number[], b: readonly number[]): { a: number[]; b: number[]; result: number[] } {
  const rank = Math.max(a.length, b.length);
  const joined = { a: [] as number[], b: [] as number[], result: [] as number[] };
  let last = '';
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    joined.result.push(x === 1 ? y : x);
    if (x === 1 && y === 1) continue;
    const kind = x === y ? 'both' : x === 1 ? 'b' : 'a';
    if (kind === last) {
      joined.a[joined.a.length - 1]! *= x;
      joined.b[joined.b.length - 1]! *= y;
    } else {
      joined.a.push(x);
      joined.b.push(y);
    }
    last = kind;
  }
  return joined;
}
