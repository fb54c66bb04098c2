/**
 * Operators that read images between their pixels: GridSample, AffineGrid (Jaderberg et al., 2015), RoiAlign (He et
 * al., 2017), DeformConv (Dai et al., 2017).
 */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { overPositions, overRegions } from './channels/normalization.ts';
import { firstInput, FULL, intsOfConstants, ONNX_ORDER } from './define.ts';
import { takeRows } from './device/rows.ts';
import { sample, type Interpolation, type Outside } from './device/sample.ts';
import { binsOf } from './host/regions.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { openShape, shapeOf, sizeOf, typeOf } from './shapes.ts';
import { windowOf } from './window.ts';
import { hostNumbers } from '../ir/tensor-data.ts';

/** Names of both versions of the operator. */
const MODES: Readonly<Record<string, Interpolation>> = {
  bilinear: 'linear',
  linear: 'linear',
  nearest: 'nearest',
  bicubic: 'cubic',
  cubic: 'cubic',
};
const OUTSIDE: ReadonlySet<string> = new Set(['zeros', 'border', 'reflection']);

/** x [n, ...spatial, c], grid [n, ...out, d] of places in [-1, 1], the last axis first -> [n, ...out, c]. */
function gridSample(ctx: RunContext): TfTensor[] {
  const [x, grid] = [ctx.tensor(0), ctx.tensor(1)];
  const spatial = x.shape.slice(1, -1);
  const interpolation = MODES[ctx.string('mode', 'linear')];
  const outside = ctx.string('padding_mode', 'zeros');
  if (!interpolation || !OUTSIDE.has(outside))
    throw new GraphError(`mode "${ctx.string('mode', 'linear')}" with padding_mode "${outside}" is not defined`);
  const alignCorners = ctx.int('align_corners', 0) === 1;
  const parts = tf.unstack(tf.reshape(grid, [nth(grid.shape, 0), -1, spatial.length]), 2);
  const places = spatial.map((size, axis) => {
    const place = tf.add(nth(parts, spatial.length - 1 - axis), 1);
    return alignCorners ? tf.mul(place, (size - 1) / 2) : tf.div(tf.sub(tf.mul(place, size), 1), 2);
  });
  const taken = sample(x, places, { interpolation, outside: outside as Outside, alignCorners });
  return [tf.reshape(taken, [...grid.shape.slice(0, -1), nth(x.shape, -1)])];
}

function inferGridSample(info: NodeInfo): Inferred[] {
  const [x, grid] = [shapeOf(info, 0), shapeOf(info, 1)];
  if (x && grid && (x.length !== grid.length || (typeof grid.at(-1) === 'number' && grid.at(-1) !== x.length - 2)))
    throw new GraphError(`a grid of shape [${grid.join(', ')}] does not fit an input of rank ${x.length}`);
  return [{ dtype: typeOf(info).dtype, shape: x && grid && [nth(x, 0), nth(x, 1), ...grid.slice(1, -1)] }];
}

/** theta [n, d, d + 1] and the output's size [n, c, ...spatial] -> grid [n, ...spatial, d]. */
function affineGrid(ctx: RunContext): TfTensor[] {
  const theta = ctx.tensor(0);
  const [n, , ...spatial] = ctx.hostInts(1) as [number, number, ...number[]];
  const base = tf.tensor2d(baseGrid(spatial, ctx.int('align_corners', 0) === 1), [sizeOf(spatial), spatial.length + 1]);
  const grid = tf.matMul(tf.tile(tf.expandDims(base, 0), [n, 1, 1]), theta, false, true);
  return [tf.reshape(grid, [n, ...spatial, spatial.length])];
}

/** Places of all pixels, [-1, 1] along each axis, the last axis first, and 1. */
function baseGrid(spatial: readonly number[], alignCorners: boolean): Float32Array {
  const d = spatial.length;
  const grid = new Float32Array(sizeOf(spatial) * (d + 1)).fill(1);
  for (let point = 0; point < sizeOf(spatial); point++) {
    let rest = point;
    for (let axis = d - 1; axis >= 0; axis--) {
      const [size, index] = [spatial[axis]!, rest % spatial[axis]!];
      rest = Math.floor(rest / size);
      grid[point * (d + 1) + (d - 1 - axis)] = alignCorners
        ? size === 1
          ? -1
          : (2 * index) / (size - 1) - 1
        : (2 * index + 1) / size - 1;
    }
  }
  return grid;
}

function inferAffineGrid(info: NodeInfo): Inferred[] {
  const size = intsOfConstants(info)(1);
  const rank = shapeOf(info, 1)?.[0];
  const shape: Dim[] | null = size
    ? [nth(size, 0), ...size.slice(2), size.length - 2]
    : typeof rank === 'number'
      ? [...openShape(rank).slice(1), rank - 2]
      : null;
  return [{ dtype: typeOf(info).dtype, shape }];
}

/** x [n, h, w, c], regions [r, 4] -> [r, height, width, c]: the mean (or maximum) of bilinear samples of each bin. */
function roiAlign(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const [, h, w, c] = x.shape as [number, number, number, number];
  const [height, width] = [ctx.int('output_height', 1), ctx.int('output_width', 1)];
  const half =
    ctx.string('coordinate_transformation_mode', ctx.opset < 16 ? 'output_half_pixel' : 'half_pixel') === 'half_pixel';
  const regions = {
    regions: hostNumbers(ctx.host(1)),
    images: ctx.hostInts(2),
    scale: ctx.float('spatial_scale', 1),
    ratio: ctx.int('sampling_ratio', 0),
    half,
  };
  const max = ctx.string('mode', 'avg') === 'max';
  const bins = binsOf(regions, { h, w, height, width }, max);
  const rows = tf.reshape(x, [-1, c]);
  const parts = bins.map(({ rows: at, weights }) =>
    tf.mul(takeRows(rows, tf.tensor1d(at, 'int32')), tf.tensor2d(weights, [weights.length, 1])),
  );
  const merged = parts.reduce((a, b) => (max ? tf.maximum(a, b) : tf.add(a, b)));
  return [tf.reshape(merged, [regions.images.length, height, width, c])];
}

/** x [n, c, h, w], w [o, c / groups, kh, kw]; every tap of the kernel reads where its offset leads, times its mask. */
function deformConv(ctx: RunContext): TfTensor[] {
  const x = tf.transpose(ctx.tensor(0), [0, 2, 3, 1]);
  const [n, , , c] = x.shape as [number, number, number, number];
  const [out, perGroup, kh, kw] = ctx.dims(1) as [number, number, number, number];
  const [oh, ow] = ctx.dims(2).slice(2) as [number, number];
  const [taps, points] = [kh * kw, oh * ow];
  const parts = ctx.int('offset_group', 1);
  const base = basePlaces(ctx, [kh, kw], [oh, ow]);
  const sizes = { n, parts, taps, points, channels: c / parts };
  const columns = Array.from({ length: parts }, (_, part) => tapsOfPart(ctx, x, base, { ...sizes, part }));
  const matrix = tf.transpose(tf.concat(columns, 3), [0, 2, 1, 3]); // [n, points, taps, c]
  const groups = ctx.int('group', 1);
  const kernel = tf.reshape(tf.transpose(ctx.tensor(1), [2, 3, 1, 0]), [taps * perGroup, out]);
  const products = Array.from({ length: groups }, (_, group) => {
    const rows = tf.reshape(tf.slice(matrix, [0, 0, 0, group * perGroup], [-1, -1, -1, perGroup]), [
      n * points,
      taps * perGroup,
    ]);
    return tf.matMul(rows, tf.slice(kernel, [0, group * (out / groups)], [-1, out / groups]));
  });
  const y = tf.transpose(tf.reshape(tf.concat(products, 1), [n, oh, ow, out]), [0, 3, 1, 2]);
  return [ctx.has(3) ? tf.add(y, tf.reshape(ctx.tensor(3), [1, out, 1, 1])) : y];
}

interface OffsetGroup {
  readonly n: number;
  readonly parts: number;
  readonly part: number;
  readonly taps: number;
  readonly points: number;
  /** Of this group. */
  readonly channels: number;
}

/** What the taps of one offset group read, times its mask: [n, taps, points, channels]. */
function tapsOfPart(ctx: RunContext, x: TfTensor, base: readonly TfTensor[], group: OffsetGroup): TfTensor {
  const { n, parts, part, taps, points, channels } = group;
  const ofPart = (value: TfTensor, size: number): TfTensor =>
    tf.slice(
      tf.reshape(value, [n, parts, taps, size, value.size / (n * parts * taps * size)]),
      [0, part, 0, 0, 0],
      [-1, 1, -1, -1, -1],
    );
  const own = tf.reshape(ofPart(ctx.tensor(2), 2), [n, taps, 2, points]);
  const places = [0, 1].map((axis) => {
    const offset = tf.reshape(tf.slice(own, [0, 0, axis, 0], [-1, -1, 1, -1]), [n, taps, points]);
    return tf.reshape(tf.add(offset, base[axis]!), [n, taps * points]);
  });
  const image = tf.slice(x, [0, 0, 0, part * channels], [-1, -1, -1, channels]);
  const read = sample(image, places, { interpolation: 'linear', outside: 'zeros', alignCorners: true });
  const taken = tf.reshape(read, [n, taps, points, channels]);
  return ctx.has(4) ? tf.mul(taken, tf.reshape(ofPart(ctx.tensor(4), points), [n, taps, points, 1])) : taken;
}

/** Where the taps lie without offsets: [taps, points] along each axis. */
function basePlaces(ctx: RunContext, kernel: readonly [number, number], out: readonly [number, number]): TfTensor[] {
  const { strides, dilations } = windowOf(ctx, kernel);
  const pads = ctx.ints('pads') ?? [0, 0, 0, 0];
  return withoutTape(() =>
    [0, 1].map((axis) => {
      const place = (i: number): number => {
        const [tap, point] = [Math.floor(i / (out[0] * out[1])), i % (out[0] * out[1])];
        const [at, index] =
          axis === 0 ? [Math.floor(tap / kernel[1]), Math.floor(point / out[1])] : [tap % kernel[1], point % out[1]];
        return index * nth(strides, axis) - nth(pads, axis) + at * nth(dilations, axis);
      };
      const count = kernel[0] * kernel[1] * out[0] * out[1];
      return tf.tensor2d(
        Float32Array.from({ length: count }, (_, i) => place(i)),
        [kernel[0] * kernel[1], out[0] * out[1]],
      );
    }),
  );
}

function inferDeformConv(info: NodeInfo): Inferred[] {
  const [x, w, offset] = [shapeOf(info, 0), shapeOf(info, 1), shapeOf(info, 2)];
  if (x && x.length !== 4) throw new GraphError('deformable convolution is defined for images of two axes here');
  return [{ dtype: typeOf(info).dtype, shape: x && w && offset && [nth(x, 0), nth(w, 0), ...offset.slice(2)] }];
}

const image = { kind: 'channels-last', inputs: [0], outputs: [0] } as const;

export const samplingOperators: readonly Operator[] = [
  {
    type: 'GridSample',
    domain: '',
    since: 16,
    layout: image,
    differentiability: FULL,
    infer: inferGridSample,
    device: gridSample,
    channels: overPositions,
  },
  {
    type: 'AffineGrid',
    domain: '',
    since: 20,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: inferAffineGrid,
    device: affineGrid,
  },
  {
    type: 'RoiAlign',
    domain: '',
    since: 10,
    layout: image,
    differentiability: firstInput(0),
    device: roiAlign,
    channels: overRegions,
    infer: (info) => [
      {
        dtype: typeOf(info).dtype,
        shape: [
          shapeOf(info, 1)?.[0] ?? null,
          shapeOf(info)?.[1] ?? null,
          info.int('output_height', 1),
          info.int('output_width', 1),
        ],
      },
    ],
  },
  {
    type: 'DeformConv',
    domain: '',
    since: 19,
    layout: ONNX_ORDER,
    differentiability: FULL,
    infer: inferDeformConv,
    device: deformConv,
    weights: [
      { input: 1, kind: 'kernel', outputAxis: () => 0 },
      { input: 3, kind: 'bias', outputAxis: () => 0 },
    ],
  },
];
