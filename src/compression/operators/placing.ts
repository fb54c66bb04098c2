/** Putting values back where windows took them from: Col2Im and MaxUnpool. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { firstInput, intsOfConstants, ONNX_ORDER } from './define.ts';
import { addRows } from './device/rows.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { isConcrete, requireRank, shapeOf, sizeOf, typeOf } from './shapes.ts';
import { extent, padsOf, windowOf } from './window.ts';

/** x [n, c * taps, blocks] -> [n, c, ...image]: overlapping windows are added up. */
function col2Im(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const [image, block] = [ctx.hostInts(1), ctx.hostInts(2)];
  const rows = windowPixels(ctx, image, block);
  const [n, columns, blocks] = x.shape as [number, number, number];
  const taps = sizeOf(block);
  if (columns % taps !== 0 || taps * blocks !== rows.length)
    throw new GraphError(
      `columns of shape [${x.shape.join(', ')}] do not fit an image [${image.join(', ')}] in blocks ` +
        `[${block.join(', ')}]`,
    );
  const channels = columns / taps;
  const updates = tf.reshape(tf.transpose(tf.reshape(x, [n, channels, taps, blocks]), [2, 3, 0, 1]), [
    taps * blocks,
    n * channels,
  ]);
  // the last row takes what lies in the pads
  const placed = addRows(updates, tf.tensor1d(rows, 'int32'), sizeOf(image) + 1);
  const pixels = tf.slice(placed, [0, 0], [sizeOf(image), -1]);
  return [tf.reshape(tf.transpose(pixels), [n, channels, ...image])];
}

/** The pixel under each tap [taps, blocks]; one beyond the last where it lies in the pads. */
function windowPixels(ctx: RunContext, image: readonly number[], block: readonly number[]): Int32Array {
  const window = windowOf(ctx, block);
  const pads = padsOf(ctx, window, image);
  const counts = image.map(
    (size, i) =>
      Math.floor((size + nth(pads, i) + nth(pads, i + image.length) - extent(window, i)) / nth(window.strides, i)) + 1,
  );
  const [taps, blocks] = [sizeOf(block), sizeOf(counts)];
  return Int32Array.from({ length: taps * blocks }, (_, flat) => {
    let [tap, position, row, stride] = [Math.floor(flat / blocks), flat % blocks, 0, 1];
    for (let axis = image.length - 1; axis >= 0; axis--) {
      const at =
        (position % counts[axis]!) * window.strides[axis]! -
        pads[axis]! +
        (tap % block[axis]!) * window.dilations[axis]!;
      if (at < 0 || at >= image[axis]!) return sizeOf(image);
      [tap, position] = [Math.floor(tap / block[axis]!), Math.floor(position / counts[axis]!)];
      row += at * stride;
      stride *= image[axis]!;
    }
    return row;
  });
}

function inferCol2Im(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  requireRank(shape, 3, 'the input', 3);
  const ints = intsOfConstants(info);
  const [image, block] = [ints(1), ints(2)];
  const rank = shapeOf(info, 1)?.[0];
  const channels = shape && typeof shape[1] === 'number' && block ? shape[1] / sizeOf(block) : null;
  if (!image && typeof rank !== 'number') return [{ dtype, shape: null }];
  return [{ dtype, shape: [shape?.[0] ?? null, channels, ...(image ?? new Array<Dim>(rank as number).fill(null))] }];
}

/** Size before a pooling: stride * (size - 1) + kernel - pads. */
function unpooledShape(info: NodeInfo, shape: readonly number[]): number[] {
  const kernel = info.ints('kernel_shape') ?? [];
  const window = windowOf(info, kernel);
  const pads = padsOf(info, window, shape.slice(2));
  return [
    ...shape.slice(0, 2),
    ...kernel.map(
      (size, i) =>
        (nth(shape, i + 2) - 1) * nth(window.strides, i) - nth(pads, i) - nth(pads, i + kernel.length) + size,
    ),
  ];
}

/**
 * x and the positions [n, c, ...] that a max pooling took its values from. A larger output_shape adds zeros at the end
 * of each axis.
 */
function maxUnpool(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const natural = unpooledShape(ctx, x.shape);
  const indices = tf.reshape(tf.cast(ctx.tensor(1), 'int32'), [x.size]);
  const y = tf.reshape(addRows(tf.reshape(x, [x.size, 1]), indices, sizeOf(natural)), natural);
  if (!ctx.has(2)) return [y];
  const wanted = ctx.hostInts(2);
  if (wanted.some((size, i) => size < nth(natural, i)))
    throw new GraphError(`output_shape [${wanted.join(', ')}] is smaller than [${natural.join(', ')}]`);
  return [
    tf.pad(
      y,
      wanted.map((size, i): [number, number] => [0, size - nth(natural, i)]),
    ),
  ];
}

function inferMaxUnpool(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const wanted = intsOfConstants(info)(2);
  if (wanted) return [{ dtype, shape: [...wanted] }];
  if ((info.node.inputs[2] ?? '') !== '' || !isConcrete(shape))
    return [{ dtype, shape: shape && shape.map((dim, i) => (i < 2 ? dim : null)) }];
  return [{ dtype, shape: unpooledShape(info, shape) }];
}

const common = { domain: '', layout: ONNX_ORDER, differentiability: firstInput(0) } as const;

export const placingOperators: readonly Operator[] = [
  { ...common, type: 'Col2Im', since: 18, infer: inferCol2Im, device: col2Im },
  { ...common, type: 'MaxUnpool', since: 9, infer: inferMaxUnpool, device: maxUnpool },
];
