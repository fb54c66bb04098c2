/** Running sums and products along an axis. */
import { nth } from '../ir/checked-access.ts';
import { allocate, hostNumbers } from '../ir/tensor-data.ts';
import { withGradient } from '../tensor/nn/gradient.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { alongAxes } from './channels/elementwise.ts';
import { exactIntegers, firstInput, ONNX_ORDER, type HostForm, needs } from './define.ts';
import { cumulativeProduct } from './device/reduce.ts';
import { rounder } from './host/data.ts';
import { lanes } from './host/reduce.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { resolveAxis, sameType } from './shapes.ts';

interface Running {
  readonly start: number;
  readonly number: (sum: number, x: number) => number;
  readonly int32: (sum: number, x: number) => number;
  readonly big: (sum: bigint, x: bigint) => bigint;
}

const SUM: Running = {
  start: 0,
  number: (sum, x) => sum + x,
  int32: (sum, x) => (sum + x) | 0,
  big: (sum, x) => sum + x,
};
const PRODUCT: Running = {
  start: 1,
  number: (sum, x) => sum * x,
  int32: Math.imul,
  big: (sum, x) => BigInt.asIntN(64, sum * x),
};

interface ScanDirection {
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

function directionOf(info: NodeInfo): ScanDirection {
  return { exclusive: info.int('exclusive', 0) === 1, reverse: info.int('reverse', 0) === 1 };
}

/** Accumulates along each lane of an axis; `exclusive` leaves the element itself out of its sum. */
function accumulate(x: HostTensor, axis: number, { exclusive, reverse }: ScanDirection, running: Running): HostTensor {
  const { starts, steps } = lanes(x.dims, [axis]);
  const order = reverse ? steps.slice().reverse() : steps;
  const out = allocate(x.dtype, x.data.length);
  const run = <T>(into: { [i: number]: T }, data: ArrayLike<T>, first: T, step: (sum: T, value: T) => T): void => {
    for (const start of starts) {
      let sum = first;
      for (const offset of order) {
        const next = step(sum, data[start + offset]!);
        into[start + offset] = exclusive ? sum : next;
        sum = next;
      }
    }
  };
  if (out instanceof BigInt64Array || out instanceof BigUint64Array)
    run(out, x.data as BigInt64Array, BigInt(running.start), running.big);
  else {
    const round = rounder(x.dtype);
    const step = x.dtype === 'int32' || x.dtype === 'uint32' ? running.int32 : running.number;
    run(out, x.data as ArrayLike<number>, running.start, round ? (sum, value) => round(step(sum, value)) : step);
  }
  return { ...x, data: out };
}

function cumulative(
  type: string,
  since: number,
  running: Running,
  device: (x: TfTensor, axis: number, way: ScanDirection) => TfTensor,
): Operator {
  const host: HostForm = needs(2, ([x, axis], info) => [
    accumulate(x, resolveAxis(nth(hostNumbers(axis), 0), x.dims.length), directionOf(info), running),
  ]);
  return {
    type,
    domain: '',
    since,
    channels: alongAxes((ctx) => {
      const axis = ctx.info.constant(1);
      return axis && hostNumbers(axis);
    }),
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: sameType(),
    host,
    device: exactIntegers(host, (ctx: RunContext) => [
      device(ctx.tensor(0), resolveAxis(nth(ctx.hostInts(1), 0), ctx.dims(0).length), directionOf(ctx)),
    ]),
  };
}

/** The gradient accumulates in the other direction; tfjs's own forgets to move the axis back. */
function sumsAlong(x: TfTensor, axis: number, { exclusive, reverse }: ScanDirection): TfTensor {
  return withGradient([x], (v) => ({
    value: tf.cumsum(v, axis, exclusive, reverse),
    saved: [],
    gradient: (dy) => [tf.cumsum(dy, axis, exclusive, !reverse)],
  }));
}

/** The axis is moved to the end, the rest flattened. */
function productsAlong(x: TfTensor, axis: number, { exclusive, reverse }: ScanDirection): TfTensor {
  const last = [...x.shape.map((_, i) => i).filter((i) => i !== axis), axis];
  const moved = tf.transpose(x, last);
  const rows = tf.reshape(moved, [-1, nth(x.shape, axis)]);
  const products = tf.reshape(cumulativeProduct(rows, exclusive, reverse), moved.shape);
  return tf.transpose(
    products,
    last.map((_, i) => last.indexOf(i)),
  );
}

export const cumulativeOperators: readonly Operator[] = [
  cumulative('CumSum', 11, SUM, sumsAlong),
  cumulative('CumProd', 26, PRODUCT, productsAlong),
];
