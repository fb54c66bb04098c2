/** Operators that move elements along a time axis, each sample by its own amount: ReverseSequence, TensorScatter. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { elementCount, hostNumbers } from '../ir/tensor-data.ts';
import { tf } from '../tensor/tf.ts';
import { firstInput, ONNX_ORDER, needs } from './define.ts';
import { takeRows } from './device/rows.ts';
import { concat, pick, reshape } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator } from './operator.ts';
import { moved } from './reshape.ts';
import { resolveAxis, sameType } from './shapes.ts';

/**
 * Row of x [d0, d1, ...] that each row of the result takes: the first `length` steps of each sample in reverse order.
 */
function reversedRows(dims: readonly number[], lengths: readonly number[], info: NodeInfo): Int32Array {
  const time = resolveAxis(info.int('time_axis', 0), 2);
  const batch = resolveAxis(info.int('batch_axis', 1), 2);
  if (time === batch) throw new GraphError('time and batch axis are the same');
  if (lengths.length !== dims[batch] || lengths.some((length) => length < 0 || length > nth(dims, time)))
    throw new GraphError(`sequence lengths [${lengths.join(', ')}] do not fit [${dims.join(', ')}]`);
  const columns = nth(dims, 1);
  return Int32Array.from({ length: nth(dims, 0) * columns }, (_, row) => {
    const at = [Math.floor(row / columns), row % columns];
    const length = lengths[at[batch]!]!;
    if (at[time]! < length) at[time] = length - 1 - at[time]!;
    return nth(at, 0) * columns + nth(at, 1);
  });
}

function rowsOnHost(x: HostTensor, rows: Int32Array, width: number): HostTensor {
  const offsets = new Int32Array(rows.length * width);
  for (let i = 0, k = 0; i < rows.length; i++) for (let j = 0; j < width; j++) offsets[k++] = rows[i]! * width + j;
  return pick(x, offsets, [rows.length, width]);
}

/** How a cache [...outer, length, ...inner] is written: the rows of (cache, then update) that make up the result. */
interface Write {
  readonly rows: Int32Array;
  /** Elements of a row. */
  readonly width: number;
}

function writeOf(
  cache: readonly number[],
  update: readonly number[],
  at: readonly number[] | null,
  info: NodeInfo,
): Write {
  const axis = resolveAxis(info.int('axis', -2), cache.length);
  const mode = info.string('mode', 'linear');
  if (mode !== 'linear' && mode !== 'circular') throw new GraphError(`unknown mode "${mode}"`);
  const [length, fresh] = [cache[axis]!, update[axis]!];
  const outer = elementCount(cache.slice(0, axis));
  const perSample = outer / nth(cache, 0);
  const rows = Int32Array.from({ length: outer * length }, (_, i) => i);
  for (let lane = 0; lane < outer; lane++) {
    const start = at ? at[Math.floor(lane / perSample)]! : 0;
    for (let i = 0; i < fresh; i++) {
      const position = mode === 'circular' ? (((start + i) % length) + length) % length : start + i;
      if (position < 0 || position >= length)
        throw new GraphError(`position ${position} lies outside a cache of ${length}`);
      rows[lane * length + position] = outer * length + lane * fresh + i;
    }
  }
  return { rows, width: elementCount(cache.slice(axis + 1)) };
}

export const sequenceAxisOperators: readonly Operator[] = [
  {
    type: 'ReverseSequence',
    domain: '',
    since: 10,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: sameType(),
    host: needs(2, ([x, lengths], info) => [
      reshape(rowsOnHost(x, reversedRows(x.dims, hostNumbers(lengths), info), elementCount(x.dims.slice(2))), x.dims),
    ]),
    device: (ctx) => {
      const rows = reversedRows(ctx.dims(0), ctx.hostInts(1), ctx);
      return [
        moved(ctx.tensor(0), (x) =>
          tf.reshape(takeRows(tf.reshape(x, [rows.length, -1]), tf.tensor1d(rows, 'int32')), x.shape),
        ),
      ];
    },
  },
  {
    type: 'TensorScatter',
    domain: '',
    since: 24,
    layout: ONNX_ORDER,
    differentiability: firstInput(0, 1),
    infer: sameType(),
    host: needs(2, ([cache, update, at], info) => {
      const { rows, width } = writeOf(cache.dims, update.dims, at ? hostNumbers(at) : null, info);
      const all = concat([reshape(cache, [elementCount(cache.dims)]), reshape(update, [elementCount(update.dims)])], 0);
      return [reshape(rowsOnHost(all, rows, width), cache.dims)];
    }),
    device: (ctx) => {
      const { rows, width } = writeOf(ctx.dims(0), ctx.dims(1), ctx.has(2) ? ctx.hostInts(2) : null, ctx);
      const [cache, update] = [ctx.tensor(0), ctx.tensor(1)];
      const all = tf.concat([tf.reshape(cache, [-1, width]), tf.reshape(update, [-1, width])], 0);
      return [
        tf.reshape(
          moved(all, (x) => takeRows(x, tf.tensor1d(rows, 'int32'))),
          cache.shape,
        ),
      ];
    },
  },
];
