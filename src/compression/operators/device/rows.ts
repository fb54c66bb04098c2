/**
 * Picking rows and adding rows up: the two linear maps, each the other's gradient, that gathering, scattering, picking
 * the top k, reflecting pads and their like come down to. tfjs's own gradient of gather needs a kernel that WebAssembly
 * lacks, GatherND and ScatterND have none.
 */
import { nth } from '../../ir/checked-access.ts';
import { saving, withGradient } from '../../tensor/nn/gradient.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';

/** x [n, k], rows int32 [m] -> [m, k]. */
export function takeRows(x: TfTensor, rows: TfTensor): TfTensor {
  const n = nth(x.shape, 0);
  if (rows.size === 0 || x.size === 0) return tf.zeros([rows.size, nth(x.shape, 1)], x.dtype);
  if (x.dtype !== 'float32') return tf.gather(x, rows);
  return withGradient([x], (v) =>
    saving({
      value: tf.gather(v, rows as never),
      saved: [rows],
      gradient: (dy, [at]) => [addRows(dy, at, n)],
    }),
  );
}

/** updates [m, k], rows int32 [m] -> [n, k]: the sum of the updates of each row. */
export function addRows(updates: TfTensor, rows: TfTensor, n: number): TfTensor {
  const k = nth(updates.shape, 1);
  if (updates.size === 0 || n === 0) return tf.zeros([n, k], updates.dtype);
  return withGradient([updates], (u) =>
    saving({
      value: tf.scatterND(tf.reshape(rows, [rows.size, 1]), u, [n, k]),
      saved: [rows],
      gradient: (dy, [at]) => [takeRows(dy, at)],
    }),
  );
}

/** Elements of x at row-major offsets, in a new shape. */
export function takeElements(x: TfTensor, offsets: TfTensor | Int32Array, shape: readonly number[]): TfTensor {
  const at = offsets instanceof Int32Array ? tf.tensor1d(offsets, 'int32') : tf.reshape(offsets, [offsets.size]);
  const taken = onNumbers(x, (v) => takeRows(tf.reshape(v, [v.size, 1]), at));
  return tf.reshape(taken, [...shape]);
}

/** Slices along an axis: x [...pre, n, ...post], indices int32 of any shape -> [...pre, ...indices, ...post]. */
export function gatherAxis(x: TfTensor, indices: TfTensor, axis: number): TfTensor {
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  if (x.size === 0 || indices.size === 0) return tf.zeros(shape, x.dtype);
  const flat = tf.reshape(indices, [indices.size]);
  const gathered = x.dtype === 'float32' ? gatherFloats(x, flat, axis) : onNumbers(x, (v) => tf.gather(v, flat, axis));
  return tf.reshape(gathered, shape);
}

function gatherFloats(x: TfTensor, indices: TfTensor, axis: number): TfTensor {
  const { shape } = x;
  return withGradient([x], (v) =>
    saving({
      value: tf.gather(v, indices as never, axis),
      saved: [indices],
      gradient: (dy, [at]) => {
        const front = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)];
        const rest = front.slice(1).map((i) => nth(shape, i));
        const rows = tf.reshape(axis === 0 ? dy : tf.transpose(dy, front), [at.size, -1]);
        const summed = tf.reshape(addRows(rows, at, nth(shape, axis)), [nth(shape, axis), ...rest]);
        return [
          axis === 0
            ? summed
            : tf.transpose(
                summed,
                front.map((_, i) => front.indexOf(i)),
              ),
        ];
      },
    }),
  );
}

/** Kernels that move data know numbers only: bool goes through int32. */
export function onNumbers(x: TfTensor, move: (x: TfTensor) => TfTensor): TfTensor {
  return x.dtype === 'bool' ? tf.cast(move(tf.cast(x, 'int32')), 'bool') : move(x);
}
